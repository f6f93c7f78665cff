"""The composition root: the only module that knows every part of the running agent."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from agent import __version__, exporter, log
from agent.assignment import KeptAssignment, follow
from agent.captures import Captures
from agent.clock import SystemClock
from agent.config import Config, listen_address
from agent.leases import LeaseWorker
from agent.ledger import Ledger
from agent.minutes import Minutes
from agent.net.collector import Collector
from agent.net.counter_reader import CounterReader
from agent.net.memory import give_back, keep_little
from agent.net.network import SystemNetwork
from agent.net.procfs import ProcRoot
from agent.net.reflect import StampReflector
from agent.net.resolve import Resolver
from agent.net.respond import Responder
from agent.net.systemd import notify, watchdog_seconds
from agent.pages import Controls, Pages
from agent.passive import Passive
from agent.push import Pusher
from agent.runner import Runner
from agent.socket_groups import SocketGroup
from agent.spool import Spool
from agent.stamp.packet import key_of
from agent.web.config import WebConfig, read_web_config
from agent.web.guard import Guard
from agent.web.listen import inherited_sockets, listening_socket
from agent.web.server import WebServer
from agent.wire.assignment import Assignment
from agent.wire.lease import MOST_WAIT_SECONDS
from agent.wire.series import Family
from agent.wire.settings import ConfigError

_LOG = logging.getLogger("agent.app")
_LAST_PUSH_SECONDS = 2.0
_FIXED_WHILE_RUNNING = (
    "node", "state_directory", "collector", "bandwidth", "exporter", "responder", "spool", "window_seconds", "tick_seconds",
    "resolve_interval_seconds", "socket_groups", "capture", "tracepoints",
)  # fmt: skip


class Agent:
    """One running agent. Make it inside the loop, close it there.

    load: reads the configuration again for a reload; raises ConfigError. systemd_socket: the exporter's sockets are
    handed over by systemd.
    """

    def __init__(self, config: Config, load: Callable[[], Config], *, systemd_socket: bool = False) -> None:
        """Raises OSError when an address, a directory or the collector's CA cannot be had; nothing is left open."""
        self._started = self._config = config
        self._load = load
        self._systemd_socket = systemd_socket
        self._web: WebServer | None = None
        self._planning = asyncio.Lock()
        self._clock = SystemClock()
        self._assigned = Assignment(config.node)
        self._resolver = Resolver(config.resolve_interval_seconds)
        state = Path(config.state_directory)
        self._kept = KeptAssignment(state / "assignment.json", config.node)
        responder = self._make_responder()
        try:
            spool, self._collector = self._make_link(state)
        except OSError:
            if responder is not None:
                responder.close()
            raise
        self._network = SystemNetwork()
        self._counters = CounterReader(ProcRoot(Path("/")), self._clock)
        ledger = Ledger()
        runner = Runner(ledger, self._network, self._resolver, self._clock, config.tick_seconds)
        own_groups = (SocketGroup(group.name, group.networks, group.ports) for group in config.socket_groups)
        root = ProcRoot(Path("/"))
        passive = Passive(
            self._resolver, self._clock, root, self._counters.read, own_groups, tracepoints=config.tracepoints
        )
        self._captures = self._make_captures(state, runner)
        minutes = Minutes(
            config.node,
            config.window_seconds,
            ledger,
            runner,
            spool,
            self._clock,
            self._counters.read,
            self._network.bandwidth.slot.take_seconds,
            lambda *minute: passive.windows.close(config.node, self.view.assignment.peers, *minute),
            self._captures.feed if self._captures is not None else lambda _: None,
        )
        self.view = exporter.View(
            self._assigned,
            ledger,
            runner,
            minutes,
            spool,
            None if spool is None or self._collector is None else Pusher(spool, self._collector, config.node),
            responder,
            self._make_reflector(),
            passive,
            captures=self._captures,
            reload_wall_s=time.time(),
        )

    def _make_captures(self, state: Path, runner: Runner) -> Captures | None:
        if not self._config.capture.enabled:
            return None

        def hosts_of(destination: str) -> list[str]:
            peers = (peer for peer in self.view.assignment.peers if peer.name == destination)
            hosts = (
                (host, family)
                for p in peers
                for host, family in ((p.ipv4, Family.IPV4), (p.ipv6, Family.IPV6))
            )
            found = (self._resolver.address(host, family) for host, family in hosts if host is not None)
            return [address for address in found if address is not None]

        return Captures(self._config.capture, state / "captures", hosts_of, runner.add_event, self._clock)

    def _make_link(self, state: Path) -> tuple[Spool | None, Collector | None]:
        """Where windows wait and where they go; nothing without a collector."""
        link, limits = self._config.collector, self._config.spool
        if link is None:
            return None, None
        spool = Spool(state / "spool", limits.max_bytes, limits.max_age_hours * 3600)
        return spool, Collector(link.url, _credential(link.token_file), link.ca_file, link.timeout_seconds)

    def _make_responder(self) -> Responder | None:
        settings = self._config.responder
        if not settings.enabled:
            return None
        host, port = listen_address(settings.listen_address, "responder", "listen_address")
        try:
            return Responder(host, port, settings.connections_per_second)
        except OSError as error:
            raise _cannot_listen(settings.listen_address, error) from error

    def _make_reflector(self) -> StampReflector | None:
        settings = self._config.responder
        if not settings.enabled or settings.udp == "off":
            return None
        host, port = listen_address(settings.listen_address, "responder", "listen_address")
        key = None
        if settings.udp_key_file is not None:
            try:
                key = key_of(self._network.read_secret(settings.udp_key_file))
            except (OSError, ValueError) as error:
                raise ConfigError("responder", "udp_key_file", str(error)) from error
        admits = self._resolver.knows if settings.udp == "peers" else _anybody
        try:
            return StampReflector(host, port, settings.udp_packets_per_second, key, admits)
        except OSError as error:
            raise _cannot_listen(f"{settings.listen_address}/udp", error) from error

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stop is set, then flush and return. Raises OSError when the exporter cannot listen."""
        try:
            kept = self._kept.load() if self._config.collector else None
            if kept is not None:
                self._assigned = kept[0]
            await self._plan()
            self._web = await self._serve()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in self._works()]
                give_back()
                notify("READY=1")
                _LOG.info("agent started", extra=self._described())
                await stop.wait()
                notify("STOPPING=1")
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()
        _LOG.info("agent stopped")

    def _works(self) -> Iterator[Coroutine[Any, Any, None]]:
        """All that runs for as long as the agent does."""
        yield self.view.runner.run()
        yield self._resolver.keep_fresh()
        yield self.view.minutes.run(self.view.pusher)
        yield _watchdog()
        if self._web is not None:
            yield self._web.run()
        if self.view.passive is not None:
            if self._captures is not None:
                yield self._captures.run()
            yield self.view.passive.run(lambda: self.view.assignment.peers)
            if self._collector is not None:
                yield self.view.passive.run_facts(self.view.minutes.send_facts)
        link = self._config.collector
        if link is not None and self._collector is not None and self.view.pusher is not None:
            yield self.view.pusher.run()
            if self._config.bandwidth.enabled:
                yield self._lease_worker(self._collector).run()
            yield follow(self._collector, self._kept, link.assignment_interval_seconds, self._assign)

    def _lease_worker(self, collector: Collector) -> LeaseWorker:
        config, link = self._config, self._config.collector
        return LeaseWorker(
            config.node,
            collector,
            self.view.runner,
            self._network.bandwidth,
            probe_counts=self.view.ledger.probe_counts,
            read_host=self._counters.read,
            ports=(config.bandwidth.first_port, config.bandwidth.last_port),
            wait_seconds=min(MOST_WAIT_SECONDS, (link.timeout_seconds if link else 0) / 2),
        )

    def _described(self) -> dict[str, object]:
        return {
            "node": self._config.node,
            "version": __version__,
            "peers": len(self.view.assignment.peers),
        }

    async def reload(self) -> str | None:
        """Read the configuration files again; a bad one changes nothing, and what is wrong with it is returned."""
        try:
            fresh = self._load()
        except ConfigError as error:
            self.view.reload_ok = False
            _LOG.error("configuration not reloaded, the old one stays", extra={"error": str(error)})
            return str(error)
        ignored = [
            name for name in _FIXED_WHILE_RUNNING if getattr(fresh, name) != getattr(self._started, name)
        ]
        if ignored:
            _LOG.warning("changes that need a restart are not in effect", extra={"keys": ",".join(ignored)})
        self._config = fresh
        log.configure(fresh.log.level, fresh.log.format)
        await self._plan()
        problem = await self._web.reload() if self._web is not None else None
        self.view.reload_ok, self.view.reload_wall_s = not ignored, time.time()
        _LOG.info("configuration reloaded", extra={"peers": len(self.view.assignment.peers)})
        return problem

    async def _assign(self, assignment: Assignment) -> None:
        self._assigned = assignment
        await self._plan()

    async def _plan(self) -> None:
        """Own peers first; the collector's beside them, where no own peer has the name.

        One at a time: names are looked up meanwhile, and an older plan must not end after a newer one.
        """
        async with self._planning:
            own = self._config.own_assignment()
            named = {peer.name for peer in own.peers}
            peers = (*own.peers, *(peer for peer in self._assigned.peers if peer.name not in named))
            rate = min(own.max_probes_per_second, self._assigned.max_probes_per_second)
            assignment = Assignment(self._started.node, peers, rate)
            await self.view.runner.plan(assignment)
            self.view.assignment = assignment

    async def _serve(self) -> WebServer | None:
        settings = self._config.exporter
        if not settings.listen_address and not self._systemd_socket:
            return None
        guard = self.view.guard = _guard(settings.web_config_file)
        controls = Controls(lambda: self._config, self.reload)
        application = Pages(self.view, settings.telemetry_path, controls).application()
        guard.install(application)
        if self._systemd_socket:
            sockets = inherited_sockets()
        else:
            host, port = listen_address(settings.listen_address, "exporter", "listen_address")
            try:
                sockets = [listening_socket(host, port)]
            except OSError as error:
                raise _cannot_listen(settings.listen_address, error) from error
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        server = WebServer(guard)
        await server.start(runner, sockets)
        return server

    async def _close(self) -> None:
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
        if self._web is not None:
            await self._web.close()
        if self._collector is not None:
            await self._collector.close()
        self._counters.close()
        if self.view.passive is not None and self.view.passive.tracepoints is not None:
            self.view.passive.tracepoints.close()
        self._network.close()


def _credential(name: str) -> Path:
    """A name alone is a credential of the systemd unit (LoadCredential= in systemd.exec(5)), where it has any."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "."), name)


def _guard(web_config_file: str | None) -> Guard:
    if web_config_file is None:
        return Guard(WebConfig)
    path = _credential(web_config_file)
    return Guard(lambda: read_web_config(path), path)


def _anybody(_address: str) -> bool:
    return True


def _cannot_listen(address: str, error: OSError) -> OSError:
    code = error.errno or 0
    reason = os.strerror(code) if code > 0 else error.strerror or str(error)
    return OSError(error.errno, f"cannot listen on {address}: {reason}")


async def _watchdog() -> None:
    """Tell systemd twice per period that the loop turns."""
    period = watchdog_seconds()
    while period is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(period / 2)


async def main(config: Config, load: Callable[[], Config], *, systemd_socket: bool = False) -> None:
    """Run one agent until SIGTERM or SIGINT; SIGHUP reloads."""
    keep_little()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    agent = Agent(config, load, systemd_socket=systemd_socket)
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            await agent.reload()
        finally:
            notify("READY=1")

    def on_hangup() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await agent.run(stop)
