"""Takes bounded packet captures when a window gives reason to, and keeps what they say as evidence. Off by default."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.capture_triggers import CaptureTriggers, Trigger
from agent.clock import NS, Clock
from agent.config import Capture
from agent.kernel.parse_error import ParseError
from agent.wire.batch import Window
from agent.wire.series import Family

if TYPE_CHECKING:
    from agent.kernel.flow_summary import FlowSummary

_LOG = logging.getLogger("agent.captures")
FLOWS_TOLD = 5
EventMaker = Callable[[str | None, Family | None, str, dict[str, Any]], None]


class Captures:
    """results: captures by how they ended. hosts_of: addresses of a peer; event: keeps evidence for the next batch."""

    def __init__(
        self,
        settings: Capture,
        folder: Path,
        hosts_of: Callable[[str], Sequence[str]],
        event: EventMaker,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._hosts_of = hosts_of
        self._event = event
        self._clock = clock
        self._triggers = CaptureTriggers()
        self._waiting: asyncio.Queue[Trigger] = asyncio.Queue(maxsize=1)
        self._next_mono_ns = 0
        self._stop = threading.Event()
        self.results: Counter[str] = Counter()

    @property
    def disk_limit_bytes(self) -> int:
        """What all files together may take."""
        return self._settings.disk_bytes

    def disk_bytes(self) -> int:
        """What the files take now."""
        return sum(file.stat().st_size for file in self._files())

    def feed(self, windows: list[Window]) -> None:
        """Look at a minute's windows; at most one capture waits, and one starts per interval."""
        triggers = self._triggers.feed(windows)
        if not triggers or self._clock.mono_ns() < self._next_mono_ns or self._waiting.full():
            return
        self._next_mono_ns = self._clock.mono_ns() + round(self._settings.interval_seconds * NS)
        self._waiting.put_nowait(triggers[0])

    async def run(self) -> None:
        """Capture for each reason, for ever."""
        try:
            while True:
                await self._take(await self._waiting.get())
        finally:
            self._stop.set()

    async def _take(self, trigger: Trigger) -> None:
        try:
            found = await asyncio.to_thread(self._capture, trigger)
        except (OSError, ValueError, ParseError) as error:
            self.results["failed"] += 1
            _LOG.warning("no capture", extra={"reason": trigger.reason, "error": str(error)})
            return
        self.results[found["ended"]] += 1
        _LOG.info("captured", extra={name: found[name] for name in ("reason", "file", "packets", "ended")})
        self._event(trigger.destination, trigger.family, "capture", found)

    def _capture(self, trigger: Trigger) -> dict[str, Any]:
        """In a thread: make room, capture, analyse."""
        from agent.kernel.capture import analyse  # noqa: PLC0415 - costs memory only where captures are taken
        from agent.net.packet_capture import CaptureLimits, capture  # noqa: PLC0415

        settings = self._settings
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(settings.file_bytes)
        name = f"{self._clock.wall_ns() // NS}-{trigger.reason}-{trigger.destination or 'host'}.pcap"
        hosts = self._hosts_of(trigger.destination) if trigger.destination is not None else ()
        limits = CaptureLimits(
            settings.seconds, settings.file_bytes, settings.packets_per_second, settings.header_bytes
        )
        taken = capture(settings.interface, hosts, limits, self._folder / name, self._stop)
        found = asdict(taken) | {
            "file": name,
            "reason": trigger.reason,
            "figure": trigger.figure,
            "flows": [],
        }
        del found["path"]
        if taken.packets:
            with taken.path.open("rb") as file:
                flows = analyse(file).flows
            worst = sorted(flows, key=lambda flow: -_sent_again(flow))
            found["flows"] = [asdict(flow) for flow in worst[:FLOWS_TOLD]]
        return found

    def _make_room(self, size: int) -> None:
        """Delete the oldest files until another one fits."""
        files = sorted(self._files(), key=lambda file: file.stat().st_mtime_ns)
        used = sum(file.stat().st_size for file in files)
        for file in files:
            if used + size <= self._settings.disk_bytes:
                return
            used -= file.stat().st_size
            file.unlink()

    def _files(self) -> list[Path]:
        return [*self._folder.glob("*.pcap"), *self._folder.glob("*.part")]


def _sent_again(flow: "FlowSummary") -> int:
    return flow.initiator.retransmitted_segments + flow.responder.retransmitted_segments
