"""Runs inside a network namespace: obeys lines of JSON on standard input, answers each with one.

["listen", port, receive buffer bytes or 0] · ["connect", host, port] · ["send", bytes] · ["write", bytes] without waiting for room ·
["receive", bytes] · ["read", {group: [networks]}] gives the counters and the sockets since the last "read".
"""

import asyncio
import json
import socket
import sys
from dataclasses import asdict
from pathlib import Path

from agent.clock import SystemClock
from agent.kernel.counters import Increments, retransmits_by_kind, tcp_trouble
from agent.net.sockets import SocketReader
from agent.net.tcp_counters import TcpCounterReader
from agent.socket_groups import SocketGroup


class Endpoint:
    """One connection at most, and this namespace's readers."""

    def __init__(self):
        self.listener = self.connection = self.sockets = None
        self.counters = TcpCounterReader(lambda path: (Path("/") / path).read_bytes(), SystemClock())

    def listen(self, port, receive_buffer=0):
        self.listener = socket.socket()
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(("0.0.0.0", port))
        self.listener.listen()

    def accept(self):
        self.connection, _ = self.listener.accept()

    def connect(self, host, port):
        self.connection = socket.socket()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        self.connection.settimeout(20)
        self.connection.connect((host, port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, size):
        self.connection.settimeout(60)
        self.connection.sendall(bytes(size))

    def write(self, size):
        self.connection.setblocking(False)
        sent = 0
        try:
            while sent < size:
                sent += self.connection.send(bytes(65536))
        except BlockingIOError:
            pass
        return sent

    def receive(self, size):
        self.connection.settimeout(60)
        left = size
        while left:
            left -= len(self.connection.recv(min(left, 1 << 20)))

    def read(self, groups):
        if self.sockets is None:
            self.sockets = SocketReader(
                [SocketGroup(name, tuple(networks)) for name, networks in groups.items()]
            )
        counters, sockets = self.counters.read(), asyncio.run(self.sockets.read())
        known = counters.since.counters if isinstance(counters.since, Increments) else {}
        return {
            "namespace": counters.totals.namespace,
            "kinds": retransmits_by_kind(known),
            "trouble": asdict(tcp_trouble(known)),
            "ratio": tcp_trouble(known).retransmit_ratio(),
            "groups": {
                name: {
                    **asdict(group),
                    "ratio": group.traffic and group.traffic.retransmit_ratio(),
                    "rwnd_limited": group.traffic and group.traffic.rwnd_limited_ratio(),
                }
                for name, group in sockets.groups.items()
            },
        }


def main():
    endpoint = Endpoint()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(endpoint, name)(*arguments)), flush=True)


main()
