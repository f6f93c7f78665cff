"""A world of nodes joined by an emulated WAN, for tests and demonstrations. Needs root.

with World(["fra", "nyc"]) as world:
    world.both("fra", "nyc", delay_ms=40, jitter_ms=2)
    with world["fra"].capture("tcp") as capture:
        world["fra"].run(["curl", f"http://{world['nyc'].address}/"])
    print(handshake_rtts_ns(capture.packets(), world["fra"].address))
"""

import pathlib
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

import msgspec

from lab import control
from lab.link import Link, ManagementLink, join, join_host
from lab.netns import LabError, require_lab
from lab.node import WAN_DEVICE, Node
from lab.path import Path, reversed_hops
from lab.transit import Counters

_START_SECONDS = 20.0
_NODE_LIMIT = 200  # each has a /24 of 198.18.0.0/16


class World:
    """Nodes by name, `world["fra"]`, each able to reach each other from the start, without delay.

    seed: of all dice. mtu_bytes: of the nodes' devices. open_ping: everybody may open ICMP datagram sockets
    (net.ipv4.ping_group_range; the kernel's default is nobody).
    Leaving the context kills what runs in the nodes and leaves nothing behind; should this process be killed,
    the emulator does the same. Entering raises LabUnavailableError, a skip to pytest, without root or /dev/net/tun.
    """

    def __init__(
        self, names: Sequence[str], *, seed: int = 1, mtu_bytes: int = 1500, open_ping: bool = False
    ) -> None:
        if len(set(names)) != len(names) or not 1 <= len(names) <= _NODE_LIMIT:
            raise ValueError(
                f"{len(names)} names, {len(set(names))} of them different; need 1 to {_NODE_LIMIT}, each once"
            )
        if bad := [name for name in names if not re.fullmatch(r"[a-z0-9-]+", name)]:
            raise ValueError(f"node names {bad} are not of a-z, 0-9 and -")
        self._names = list(names)
        self._seed = seed
        self._mtu_bytes = mtu_bytes
        self._open_ping = open_ping
        self._nodes: dict[str, Node] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self._links = 0
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        require_lab()
        try:
            self._build()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    @property
    def nodes(self) -> list[Node]:
        """All, in the order of their names as given."""
        return list(self._nodes.values())

    def path(self, source: str, destination: str, **changes: Any) -> Path:
        """Change what the direction source → destination does, at once; fields as in lab.path.Path.

        Fields not named keep their value. Returns the settings now in force. ValueError for a wrong value.
        """
        path = msgspec.structs.replace(self._paths.get((source, destination), Path()), **changes)
        self._ask(control.SetPath(self[source].number, self[destination].number, path))
        self._paths[source, destination] = path
        return path

    def both(self, one: str, other: str, **changes: Any) -> None:
        """Change both directions alike; hops are met in the opposite order on the way back."""
        self.path(one, other, **changes)
        if "hops" in changes:
            changes["hops"] = reversed_hops(changes["hops"])
        self.path(other, one, **changes)

    def counters(self, source: str, destination: str) -> Counters:
        """What the emulator did with the packets of one direction since the start."""
        answer = self._ask(control.ReadCounters(self[source].number, self[destination].number))
        return answer.counters

    def link(self, one: str, other: str) -> Link:
        """Wire two nodes directly, beside the WAN; Node.shape and Node.nft add a rate and loss."""
        self._links += 1
        return join(self[one], self[other], self._links - 1)

    def management_link(self, name: str) -> ManagementLink:
        """Wire a node to this machine, so that a browser or a test outside the world reaches its ports."""
        return join_host(self[name])

    def _build(self) -> None:
        folder = pathlib.Path(
            self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lightfloor-lab-"))
        )
        for number, name in enumerate(self._names):
            node = Node(name, number, folder)
            self._cleanup.callback(node.close)
            self._nodes[name] = node
        self._start_emulator(folder / "emulator.log")
        for node in self.nodes:
            node.ip(
                f"link set {WAN_DEVICE} addrgenmode none mtu {self._mtu_bytes} txqueuelen 10000 up",
                f"address add {node.address}/32 dev {WAN_DEVICE}",
                f"address add {node.address6}/128 dev {WAN_DEVICE} nodad",
                f"route add default dev {WAN_DEVICE} src {node.address}",
                f"route add ::/0 dev {WAN_DEVICE} src {node.address6}",
            )
            if self._open_ping:
                node.sysctl("net.ipv4.ping_group_range", "0 2147483647")

    def _start_emulator(self, log: pathlib.Path) -> None:
        self._control, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._cleanup.callback(self._control.close)
        setups = tuple(
            control.NodeSetup(node.name, node.namespace.net_fd, (node.address, node.address6))
            for node in self.nodes
        )
        with log.open("wb") as out, far_end:
            self._emulator = subprocess.Popen(
                (sys.executable, "-m", "lab.emulator", str(far_end.fileno())),
                cwd=pathlib.Path(__file__).parents[1],
                pass_fds=(far_end.fileno(), *(setup.netns_fd for setup in setups)),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._log = log
        self._cleanup.callback(self._end_emulator)
        self._control.settimeout(_START_SECONDS)
        self._ask(control.Start(setups, WAN_DEVICE, self._seed, self._mtu_bytes + 64))

    def _end_emulator(self) -> None:
        """Closing the control pair ends it; a kill is for one that hangs. LabError if it had ended before."""
        ended_early = self._emulator.poll() is not None
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._emulator.wait(timeout=8)
        self._emulator.kill()
        self._emulator.wait()
        if ended_early:
            raise LabError(f"the WAN emulator ended before the world did: {self._log.read_text()}")

    def _ask(self, request: control.Request) -> control.Answer:
        try:
            self._control.send(control.encode(request))
            answer = self._control.recv(control.MESSAGE_LIMIT_BYTES)
        except OSError as error:
            raise LabError(f"the WAN emulator does not answer ({error}): {self._log.read_text()}") from error
        if not answer:
            raise LabError(f"the WAN emulator ended: {self._log.read_text()}")
        return control.decode_answer(answer)
