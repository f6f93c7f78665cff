"""Dumps of links and routes from the kernel, through one short-lived netlink socket. Needs no privilege."""

import os
import socket
import struct

from agent.kernel import rtnetlink as layout
from agent.kernel.route import Route

RECEIVE_BYTES = 1 << 17
MAX_DUMP_BYTES = 4 << 20
"""Some 30,000 routes. A router with a full table is told so rather than read for seconds."""


class DumpTooLargeError(OSError):
    """The kernel has more to say than we are ready to read."""


def links() -> tuple[layout.NetlinkLink, ...]:
    """Every interface. Raises OSError or ParseError."""
    return layout.decode_links(_dump(layout.link_dump_request(1)))


def link_into_namespace_of(pid: int) -> str:
    """The interface here whose other end is in the network namespace of a process. Raises OSError or ParseError."""
    with _socket() as netlink:
        netlink.send(layout.namespace_number_request(1, pid))
        answer = netlink.recv(RECEIVE_BYTES)
    for kind, body in layout.messages(answer):
        if kind == layout.NLMSG_ERROR:
            error = -struct.unpack_from("=i", body)[0]
            raise OSError(error, f"the namespace of process {pid}: {os.strerror(error)}")
    number = layout.decode_namespace_number(answer)
    for link in links():
        if number is not None and link.peer_namespace == number:
            return link.name
    raise OSError(f"no interface here leads into the network namespace of process {pid}")


def routes(interfaces: dict[int, str]) -> tuple[Route, ...]:
    """Every route; interfaces: names by index. Raises DumpTooLargeError, OSError or ParseError."""
    return layout.decode_routes(_dump(layout.route_dump_request(1)), interfaces)


def _dump(request: bytes) -> bytes:
    with _socket() as netlink:
        netlink.send(request)
        pieces: list[bytes] = []
        size = 0
        while size < MAX_DUMP_BYTES:
            piece = netlink.recv(RECEIVE_BYTES)
            for kind, body in layout.messages(piece):
                if kind == layout.NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "netlink refused the dump")
                if kind == layout.NLMSG_DONE:
                    return b"".join(pieces) + piece
            pieces.append(piece)
            size += len(piece)
        raise DumpTooLargeError(f"more than {MAX_DUMP_BYTES} bytes")


def _socket() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    netlink.settimeout(2)  # the kernel answers at once; this only bounds the unforeseen
    return netlink
