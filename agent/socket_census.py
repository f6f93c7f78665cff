"""A census of this host's TCP connections by group: fed what the kernel dumps, settled at the end. Pure."""

import struct
from collections.abc import Iterator, Sequence

from agent.kernel.inet_diag import (
    HEADER,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOCK_DIAG_BY_FAMILY,
    Message,
    error_number,
)
from agent.kernel.inet_diag_figures import Account, LayoutBook
from agent.kernel.parse_error import ParseError
from agent.kernel.tcp_socket import Socket
from agent.socket_groups import GroupIndex, SocketGroup
from agent.socket_listing import LISTED_ACCOUNTS, listed_figures
from agent.socket_tally import SocketTally
from agent.sockets import GroupReading, SocketReading

MAXIMUM_SOCKETS = 100_000
"""Sockets read at most; what is beyond is left out, and said so."""

_HEAD = struct.Struct("=IHH")


class DumpRefusedError(Exception):
    """The kernel answered a dump with an error; errno as in errno(3)."""

    def __init__(self, errno: int) -> None:
        super().__init__(f"the kernel refused the socket dump with errno {errno}")
        self.errno = errno


class SocketCensus:
    """Puts sockets together by group, reading after reading.

    One reading: feed() every piece of the dumps of both families, lost() if a piece is known to be missing, then
    settle(). Raises ValueError for groups that are none.
    """

    def __init__(self, groups: Sequence[SocketGroup], maximum: int = MAXIMUM_SOCKETS) -> None:
        self._groups = GroupIndex(groups)
        self._names = [group.name for group in groups]
        self._tallies = [SocketTally() for _ in groups]
        self._maximum = maximum
        self._layouts = LayoutBook()
        self._account: Account | None = None
        self._sockets = 0
        self._cut = False
        self._interrupted = False

    def feed(self, buffer: bytes | memoryview) -> bool:
        """Take one read of a dump; True when no more of this dump is wanted.

        Raises DumpRefusedError, and ParseError for what is no netlink message.
        """
        offset, end = 0, len(buffer)
        while offset < end:
            if end - offset < _HEAD.size:
                raise ParseError(
                    "inet_diag", f"byte {offset}", f"{end - offset} bytes left, no netlink header"
                )
            length, kind, flags = _HEAD.unpack_from(buffer, offset)
            if not 16 <= length <= end - offset:
                raise ParseError(
                    "inet_diag", f"byte {offset}", f"message of {length} bytes, {end - offset} left"
                )
            if flags & NLM_F_DUMP_INTR:
                self._interrupted = True
            if kind == SOCK_DIAG_BY_FAMILY:
                if self._sockets >= self._maximum:
                    self._cut = True
                    return True
                offset = self._add_run(buffer, offset, length)
                continue
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                errno = error_number(buffer, Message(offset, length, kind, flags))
                if errno:
                    raise DumpRefusedError(errno)
                return True
            offset += (length + 3) & ~3
        return False

    def lost(self) -> None:
        """A part of the dump was lost: this reading is not whole."""
        self._interrupted = True

    def _add_run(self, buffer: bytes | memoryview, offset: int, length: int) -> int:
        """Count the socket at offset and those after it that are laid out alike; the offset behind them."""
        layout = self._layouts.layout_of(buffer, offset, length)
        if layout is None:
            self._sockets += 1
            return offset + ((length + 3) & ~3)
        self._account = layout.account
        size, read_totals = layout.struct.size, layout.account.read if layout.account else None
        header, info_header, congestion_header = layout.header, layout.info_header, layout.congestion_header
        groups, tallies = self._groups, self._tallies
        known = groups.known_of(buffer[offset + HEADER.size])
        most = min((len(buffer) - offset) // size, self._maximum - self._sockets)
        count = 0
        for figures in layout.struct.iter_unpack(buffer[offset : offset + most * size]):
            if figures[0] != header or figures[5] != info_header or figures[13] != congestion_header:
                break
            count += 1
            address = figures[3]
            for index, ports in known.get(address) or groups.of(figures[1], address):
                if not ports or figures[2][:2] in ports or figures[2][2:] in ports:
                    tallies[index].add(figures, read_totals)
        self._sockets += count
        return offset + count * size

    def take(self, socket: Socket, unit: str) -> bool:
        """Take one socket that `ss -tine` printed, in place of a dump; True when no more are wanted.

        unit: agent.socket_listing.listing_unit of the whole text.
        """
        self._account = LISTED_ACCOUNTS[unit]
        if self._sockets >= self._maximum:
            self._cut = True
            return True
        self._sockets += 1
        figures = listed_figures(socket, unit)
        if figures is not None:
            for index, ports in self._groups.of(figures[1], figures[3]):
                if not ports or figures[2][:2] in ports or figures[2][2:] in ports:
                    self._tallies[index].add(figures, self._account.read)
        return False

    def settle(self) -> Iterator[SocketReading | None]:
        """End the reading: None after each longer piece of work, at last the reading."""
        whole = not self._cut and not self._interrupted
        groups: dict[str, GroupReading] = {}
        for name, tally in zip(self._names, self._tallies, strict=True):
            for reading in tally.settle(whole=whole, account=self._account):
                if reading is None:
                    yield None
                else:
                    groups[name] = reading
        source = "ss" if self._account in LISTED_ACCOUNTS.values() else "inet_diag"
        done = SocketReading(source, self._sockets, self._cut, self._interrupted, groups)
        self._sockets, self._cut, self._interrupted = 0, False, False
        yield done
