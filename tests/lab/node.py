"""One node of the world: a namespace with its addresses, and what can be done in it."""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lab.capture import Capture
from lab.netns import LabError, Namespace

WAN_DEVICE = "wan0"


class Node:
    """name, address (IPv4), address6 and device are plain attributes."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name = name
        self.number = number
        self.address = f"198.18.{number}.1"  # RFC 2544's range for benchmarks
        self.address6 = str(ip_address(f"2001:2:0:{number:x}::1"))  # RFC 5180's, as programs print it
        self.device = WAN_DEVICE
        self.namespace = Namespace()
        self._folder = folder
        self._processes: list[subprocess.Popen[Any]] = []

    def command(self, argv: Sequence[object], *, unprivileged: bool = False) -> list[str]:
        """The argv that runs `argv` in this node, for asyncio's subprocesses and for scripts."""
        return self.namespace.command([str(word) for word in argv], unprivileged=unprivileged)

    def popen(
        self, argv: Sequence[object], *, unprivileged: bool = False, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a program in this node; options as for subprocess.Popen. The world kills it at its end.

        unprivileged: as user 65534 with no capability.
        """
        process = subprocess.Popen(self.command(argv, unprivileged=unprivileged), **options)
        self._processes.append(process)
        return process

    def run(
        self, argv: Sequence[object], *, unprivileged: bool = False, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in this node to its end, output as text; raises LabError with its words if it fails."""
        options = {"capture_output": True, "text": True, "timeout": 60} | options
        done = subprocess.run(self.command(argv, unprivileged=unprivileged), check=False, **options)
        if check and done.returncode:
            said = f"{done.stdout or ''}{done.stderr or ''}".strip()
            raise LabError(f"{self.name}: {' '.join(map(str, argv))}: exit {done.returncode}: {said}")
        return done

    @contextmanager
    def enter(self) -> Iterator[None]:
        """The calling thread is in this node: sockets opened meanwhile belong to it for good."""
        with self.namespace.enter():
            yield

    def capture(
        self,
        filter: str = "",  # noqa: A002 - tcpdump's word
        *,
        device: str | None = None,
        snap_bytes: int = 256,
        immediate: bool = True,
    ) -> Capture:
        """tcpdump at this node, nanosecond stamps; `filter` in tcpdump's language; immediate: see Capture."""
        file = self._folder / f"{self.name}-{secrets.token_hex(4)}.pcap"
        return Capture(self, device or self.device, filter, snap_bytes, file, immediate=immediate)

    def sysctl(self, name: str, value: object) -> None:
        """Set a per-namespace sysctl, such as ("net.ipv4.tcp_timestamps", 0)."""
        with self.enter():
            Path("/proc/sys", *name.split(".")).write_text(str(value))

    def ip(self, *lines: str) -> None:
        """Run ip(8) commands, one per line, all or an error."""
        self.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n")

    def nft(self, ruleset: str) -> None:
        """Load nftables rules; firewall.drop_ratio and firewall.drop_every write common ones."""
        self.run(["nft", "-f", "-"], input=ruleset)

    def shape(
        self, device: str, rate_bits_per_second: int, *, burst_bytes: int = 16_384, latency_ms: int = 50
    ) -> None:
        """Limit what leaves by `device` with a token bucket filter, tc-tbf(8); for links, as WAN paths have a rate."""
        rate = ["rate", f"{rate_bits_per_second}bit", "burst", str(burst_bytes), "latency", f"{latency_ms}ms"]
        self.run(["tc", "qdisc", "replace", "dev", device, "root", "tbf", *rate])

    def close(self) -> None:
        """Kill what runs here, give back the namespace."""
        self.namespace.close()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            process.wait()
