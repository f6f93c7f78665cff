"""The composition root: the only module that knows every part of the running agent."""

import asyncio
import logging
import signal
import time
from pathlib import Path

from aiohttp import web

from agent import __version__, exporter
from agent import config as configuration
from agent.assignment import KeptAssignment, follow
from agent.clock import SystemClock
from agent.config import Config, listen_address
from agent.hostcounters import Reading
from agent.ledger import Ledger
from agent.minutes import Minutes
from agent.net.collector import Collector
from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.net.resolve import Resolver
from agent.net.respond import Responder
from agent.net.systemd import notify, watchdog_seconds
from agent.push import Pusher
from agent.runner import Runner
from agent.spool import Spool
from agent.stamp.packet import key_of
from agent.wire.assignment import Assignment
from agent.wire.settings import ConfigError

_LOG = logging.getLogger("agent.app")
_LAST_PUSH_SECONDS = 2.0
_FIXED_WHILE_RUNNING = (
    "node", "state_directory", "collector", "exporter", "responder", "spool", "window_seconds", "tick_seconds",
    "resolve_interval_seconds",
)  # fmt: skip


class Agent:
    """One running agent. Make it inside the loop. Raises OSError when an address or directory cannot be had."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self._config = config
        self._clock = SystemClock()
        self._assigned = Assignment(config.node)
        self._network = SystemNetwork()
        self._resolver = Resolver(config.resolve_interval_seconds)
        ledger = Ledger()
        runner = Runner(ledger, self._network, self._resolver, self._clock, config.tick_seconds)
        state = Path(config.state_directory)
        link = config.collector
        self._collector: Collector | None = None
        self._kept = KeptAssignment(state / "assignment.json")
        spool, pusher = None, None
        if link is not None:
            spool = Spool(state / "spool", config.spool.max_bytes, config.spool.max_age_hours * 3600)
            self._collector = Collector(link.url, Path(link.token_file), link.ca_file, link.timeout_seconds)
            pusher = Pusher(spool, self._collector)
        minutes = Minutes(
            config.node, config.window_seconds, ledger, runner, spool, self._clock, self._read_host
        )
        self.view = exporter.View(
            self._assigned,
            ledger,
            runner,
            minutes,
            spool,
            pusher,
            self._make_responder(),
            self._make_reflector(),
            reload_wall_s=time.time(),
        )

    def _make_responder(self) -> Responder | None:
        settings = self._config.responder
        if not settings.enabled:
            return None
        host, port = listen_address(settings.listen_address, str(self._path), "responder.listen_address")
        try:
            return Responder(host, port, settings.connections_per_second)
        except OSError as error:
            raise _cannot_listen(settings.listen_address, error) from error

    def _make_reflector(self) -> StampReflector | None:
        settings = self._config.responder
        if not settings.enabled or settings.udp == "off":
            return None
        host, port = listen_address(settings.listen_address, str(self._path), "responder.listen_address")
        key = None
        if settings.udp_key_file is not None:
            try:
                key = key_of(self._network.read_secret(settings.udp_key_file))
            except (OSError, ValueError) as error:
                raise ConfigError(str(self._path), "responder.udp_key_file", str(error)) from error
        admits = self._resolver.knows if settings.udp == "peers" else _anybody
        try:
            return StampReflector(host, port, settings.udp_packets_per_second, key, admits)
        except OSError as error:
            raise _cannot_listen(f"{settings.listen_address}/udp", error) from error

    def _read_host(self) -> Reading:
        return Reading(wall_ns=self._clock.wall_ns(), mono_ns=self._clock.mono_ns())

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stop is set, then flush and return. Raises OSError when the exporter cannot listen."""
        link = self._config.collector
        kept = self._kept.load() if link else None
        if kept is not None:
            self._assigned = kept[0]
        await self._plan()
        site = await self._serve()
        try:
            async with asyncio.TaskGroup() as group:
                works = [
                    self.view.runner.run(),
                    self._resolver.keep_fresh(),
                    self.view.minutes.run(self.view.pusher),
                    _watchdog(),
                ]
                if link is not None and self._collector is not None and self.view.pusher is not None:
                    works.append(self.view.pusher.run())
                    interval = link.assignment_interval_seconds
                    works.append(
                        follow(self._collector, self._kept, self._config.node, interval, self._assign)
                    )
                tasks = [group.create_task(work) for work in works]
                notify("READY=1")
                _LOG.info(
                    "agent started",
                    extra={
                        "node": self._config.node,
                        "version": __version__,
                        "peers": len(self.view.assignment.peers),
                    },
                )
                await stop.wait()
                notify("STOPPING=1")
                for task in tasks:
                    task.cancel()
        finally:
            await self._close(site)

    async def reload(self) -> None:
        """Read the configuration file again; a bad one changes nothing and says so."""
        try:
            fresh = configuration.load(self._path)
        except ConfigError as error:
            self.view.reload_ok = False
            _LOG.error("configuration not reloaded, the old one stays", extra={"error": str(error)})
            return
        ignored = [
            name for name in _FIXED_WHILE_RUNNING if getattr(fresh, name) != getattr(self._config, name)
        ]
        if ignored:
            _LOG.warning("changes that need a restart are not in effect", extra={"keys": ",".join(ignored)})
        self._config = fresh
        logging.getLogger().setLevel(fresh.log.level.upper())
        await self._plan()
        self.view.reload_ok, self.view.reload_wall_s = not ignored, time.time()
        _LOG.info("configuration reloaded", extra={"peers": len(self.view.assignment.peers)})

    async def _assign(self, assignment: Assignment) -> None:
        self._assigned = assignment
        await self._plan()

    async def _plan(self) -> None:
        """Own peers first; the collector's beside them, where no own peer has the name."""
        own = self._config.own_assignment()
        named = {peer.name for peer in own.peers}
        peers = (*own.peers, *(peer for peer in self._assigned.peers if peer.name not in named))
        rate = min(own.max_probes_per_second, self._assigned.max_probes_per_second)
        assignment = Assignment(own.node, peers, rate)
        await self.view.runner.plan(assignment)
        self.view.assignment = assignment

    async def _serve(self) -> web.AppRunner | None:
        settings = self._config.exporter
        if not settings.listen_address:
            return None
        host, port = listen_address(settings.listen_address, str(self._path), "exporter.listen_address")
        try:
            return await exporter.serve(exporter.application(self.view, settings.telemetry_path), host, port)
        except OSError as error:
            raise _cannot_listen(settings.listen_address, error) from error

    async def _close(self, site: web.AppRunner | None) -> None:
        """Make the open window durable, try once to send it, and let go of everything."""
        await self.view.minutes.close()
        if self.view.pusher is not None:
            try:
                await asyncio.wait_for(self.view.pusher.drain(), _LAST_PUSH_SECONDS)
            except TimeoutError:
                _LOG.info("windows left in the spool for the next start")
        if self.view.responder is not None:
            self.view.responder.close()
        if self.view.reflector is not None:
            self.view.reflector.close()
        if site is not None:
            await site.cleanup()
        if self._collector is not None:
            await self._collector.close()
        self._network.close()
        _LOG.info("agent stopped")


def _anybody(_address: str) -> bool:
    return True


def _cannot_listen(address: str, error: OSError) -> OSError:
    return OSError(error.errno, f"cannot listen on {address}: {error.strerror or error}")


async def _watchdog() -> None:
    """Tell systemd twice per period that the loop turns."""
    period = watchdog_seconds()
    while period is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(period / 2)


async def main(path: Path, config: Config) -> None:
    """Run one agent until SIGTERM or SIGINT; SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    agent = Agent(path, config)
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        await agent.reload()
        notify("READY=1")

    def on_hangup() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await agent.run(stop)
