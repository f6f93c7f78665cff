"""The WAN between the nodes: one process that reads each node's TUN device and writes packets when they are due.

Started by lab.world as `python -m lab.emulator FD`, FD being its end of the control pair. It ends when that
pair closes, however the other side died, and then kills what still runs in the nodes' namespaces: those have no
name, so with the last process and descriptor gone the kernel removes them.
"""

import gc
import heapq
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from lab import control
from lab.netns import kill_inhabitants
from lab.syscalls import Timer, enter_network, open_tun, set_timer_slack_ns
from lab.wan import Wan

_READS_PER_WAKE = 64  # one busy node cannot hold up what is due to the others
_REALTIME_PRIORITY = 10


def run(control_socket: socket.socket) -> None:
    """Serve until the control pair closes."""
    spare = {os.getpid(), os.getppid()}  # the tests' own process may be visiting a node at this moment
    start = control.decode_request(control_socket.recv(control.MESSAGE_LIMIT_BYTES))
    if not isinstance(start, control.Start):
        raise TypeError(f"the first message must be Start, not {type(start).__name__}")
    try:
        emulator = Emulator(start, control_socket)
        control_socket.send(control.encode(control.Answer()))
        emulator.serve()
    finally:
        for node in start.nodes:
            kill_inhabitants(node.netns_fd, spare)


class Emulator:
    """Descriptors, the heap of packets under way, and the loop between them."""

    def __init__(self, start: control.Start, control_socket: socket.socket) -> None:
        self._control = control_socket
        self._wan = Wan([node.addresses for node in start.nodes], start.seed)
        self._read_bytes = start.read_bytes
        self._tuns = _open_tuns(start)
        self._node_of = {fd: index for index, fd in enumerate(self._tuns)}
        self._timer = Timer()
        self._under_way: list[tuple[int, int, int, bytes]] = []  # at_ns, arrival number, node, packet
        self._arrivals = 0
        self._poll = select.epoll()
        for fd in (*self._tuns, self._timer.fd, self._control.fileno()):
            self._poll.register(fd, select.EPOLLIN)

    def serve(self) -> None:
        """Move packets and take settings until the control pair closes."""
        armed_ns = 0
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._timer.fd:
                    self._timer.acknowledge()
                    armed_ns = 0
                elif fd == self._control.fileno():
                    if not self._take_request():
                        return
                else:
                    self._take_packets(fd, self._node_of[fd])
            self._write_due()
            if self._under_way and self._under_way[0][0] != armed_ns:
                armed_ns = self._under_way[0][0]
                self._timer.arm(armed_ns)

    def _take_packets(self, fd: int, node: int) -> None:
        forward, under_way, clock = self._wan.forward, self._under_way, time.monotonic_ns
        with suppress(BlockingIOError):
            for _ in range(_READS_PER_WAKE):
                packet = os.read(fd, self._read_bytes)
                for at_ns, destination, arriving in forward(node, packet, clock()):
                    self._arrivals += 1
                    heapq.heappush(under_way, (at_ns, self._arrivals, destination, arriving))

    def _write_due(self) -> None:
        under_way, tuns = self._under_way, self._tuns
        now_ns = time.monotonic_ns()
        while under_way and under_way[0][0] <= now_ns:
            _, _, node, packet = heapq.heappop(under_way)
            # A node whose device is down, or that refuses a malformed packet, loses it as a real link would.
            with suppress(OSError):
                os.write(tuns[node], packet)

    def _take_request(self) -> bool:
        data = self._control.recv(control.MESSAGE_LIMIT_BYTES)
        if not data:
            return False
        request = control.decode_request(data)
        answer = control.Answer()
        if isinstance(request, control.SetPath):
            self._wan.configure(request.source, request.destination, request.path)
        elif isinstance(request, control.ReadCounters):
            answer = control.Answer(self._wan.counters(request.source, request.destination))
        self._control.send(control.encode(answer))
        return True


def _open_tuns(start: control.Start) -> list[int]:
    with Path("/proc/self/ns/net").open() as home:
        tuns = []
        for node in start.nodes:
            enter_network(node.netns_fd)
            tuns.append(open_tun(start.device))
        enter_network(home.fileno())
    return tuns


def _be_punctual() -> None:
    """Real-time priority where allowed, else a high nice value; exact timers; no collector pauses."""
    set_timer_slack_ns(1)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_REALTIME_PRIORITY))
    except PermissionError:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)
    gc.disable()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then close the control pair
    _be_punctual()
    run(socket.socket(fileno=int(sys.argv[1])))
