"""tcpdump at a node: what really crossed its interface, and when, by the kernel's clock."""

import os
import re
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab.netns import LabError, require_program
from lab.pcap import Packet, read_packets

if TYPE_CHECKING:
    from lab.node import Node

# Packets of the lab's own, to see that the file is complete: a group address that no router and no host
# answers, and a port of which a capture of UDP shows nothing else.
_MARK_GROUP, _MARK_PORT = "224.0.0.251", 9
_MARK_FILTER = f"(udp dst port {_MARK_PORT} and dst host {_MARK_GROUP})"
_SO_BINDTODEVICE = 25
_PATIENCE_SECONDS = 10.0


class Capture:
    """A running or finished capture; use as a context. Packets are read with `packets`, during or after it.

    Leaving the context first waits until a marked packet, sent then, has reached the file: nothing that
    crossed the interface before is missing.
    """

    def __init__(
        self,
        node: "Node",
        device: str,
        expression: str,
        snap_bytes: int,
        file: Path,
        *,
        immediate: bool = True,
    ) -> None:
        """immediate False: tcpdump reads in blocks, so that it is not woken between a packet's tap and its driver."""
        self.file = file
        self._immediate = immediate
        self._node = node
        self._device = device
        self._expression = f"({expression}) or {_MARK_FILTER}" if expression else ""
        self._snap_bytes = snap_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        require_program("tcpdump")
        argv = ["tcpdump", "-i", self._device, "-n", "-s", str(self._snap_bytes), "-U"]
        argv += ["--immediate-mode"] if self._immediate else []
        argv += ["-B", "16384", "--time-stamp-precision=nano", "-w", "-"]
        with self.file.open("wb") as out:
            argv += [self._expression] if self._expression else []
            self._process = self._node.popen(argv, stdout=out, stderr=subprocess.PIPE)
        said = b""
        while b"listening on" not in said:
            line = self._process.stderr.readline()
            if not line:
                self._process.communicate()
                raise LabError(f"tcpdump did not start: {said.decode().strip()}")
            said += line
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.flush()
        finally:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            _, said = self._process.communicate(timeout=_PATIENCE_SECONDS)
        dropped = re.search(rb"(\d+) packets? dropped by kernel", said)
        if dropped and int(dropped[1]):
            raise LabError(
                f"the capture at {self._device} is no truth: the kernel dropped {int(dropped[1])} packets"
            )

    def flush(self) -> None:
        """Wait until all that has crossed the interface so far is in the file."""
        mark = secrets.token_bytes(16)
        with self._node.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, self._device.encode())
            marker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            marker.sendto(mark, (_MARK_GROUP, _MARK_PORT))
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while mark not in self._tail():
            if time.monotonic() > give_up or self._process.poll() is not None:
                raise LabError(f"the capture at {self._device} did not record the packet that marks its end")
            time.sleep(0.002)

    def packets(self) -> list[Packet]:
        """What was captured so far, in the order of capture, without the lab's own marks."""
        return [packet for packet in read_packets(self.file.read_bytes()) if not _is_mark(packet)]

    def _tail(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1_000_000))
            return file.read()


def _is_mark(packet: Packet) -> bool:
    return packet.destination == _MARK_GROUP and packet.destination_port == _MARK_PORT


def handshake_rtts_ns(packets: list[Packet], client: str) -> dict[tuple[int, int], int]:
    """True round trips of the client's handshakes by (its port, initial sequence number), captured at the client.

    Only handshakes with one SYN and an answer (SYN-ACK or RST) to it: after a retransmission there is no single
    true value. Keyed with the sequence number because ports come back.
    """
    sent: dict[tuple[int, int], list[int]] = {}
    answered: dict[tuple[int, int], int] = {}
    for packet in packets:
        if packet.flags == "S" and packet.source == client:
            sent.setdefault((packet.source_port, packet.seq), []).append(packet.time_ns)
        elif packet.flags in ("SA", "RA") and packet.destination == client:
            answered.setdefault((packet.destination_port, (packet.ack - 1) % 2**32), packet.time_ns)
    return {
        key: answered[key] - times[0] for key, times in sent.items() if len(times) == 1 and key in answered
    }


def echo_rtts_ns(packets: list[Packet], client: str) -> dict[tuple[str, int, int], int]:
    """True round trips of the client's ICMP and ICMPv6 echoes by (destination, id, sequence), captured at the client.

    The first answer counts.
    """
    sent: dict[tuple[str, int, int], int] = {}
    rtts: dict[tuple[str, int, int], int] = {}
    for packet in packets:
        if packet.icmp_type in (8, 128) and packet.source == client:
            sent.setdefault((packet.destination, packet.icmp_id, packet.icmp_seq), packet.time_ns)
        elif packet.icmp_type in (0, 129) and packet.destination == client:
            key = (packet.source, packet.icmp_id, packet.icmp_seq)
            if key in sent:
                rtts.setdefault(key, packet.time_ns - sent[key])
    return rtts
