"""What the exporter shows, with every part that an agent can have: for its tests and for docs/metrics.md."""

from agent import exporter
from agent.captures import Captures
from agent.config import Capture
from agent.hostcounters import Reading
from agent.ledger import Ledger
from agent.minutes import Minutes
from agent.net.procfs import ProcRoot
from agent.net.respond import Responder
from agent.passive import Passive
from agent.push import Pusher
from agent.runner import Runner
from agent.spool import Spool
from agent.web.guard import Guard
from agent.wire.assignment import Assignment, Peer
from agent.wire.series import Family, SeriesKey, TimeSource
from fakes import FakeClock, FixedAddresses, ScriptedNetwork

SERIES = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)


class QuietReflector:
    """A STAMP reflector that nobody has asked yet."""

    def __init__(self):
        self.packets = {"answered": 0}


class ScriptedEvents:
    """One tracepoint that can be counted and one that cannot."""

    unavailable = {"tcp_retransmit_events": "no tracefs"}  # noqa: RUF012 - never changed

    def read(self):
        return {"sendfile_calls": 1}


def view_of_one_peer(tmp_path):
    """A View with every part that an agent can have."""
    clock, ledger = FakeClock(), Ledger()
    runner = Runner(ledger, ScriptedNetwork(), FixedAddresses(), clock, 0.1)
    spool = Spool(tmp_path / "spool", 10**9, 10**6)
    minutes = Minutes(
        "fra",
        60,
        ledger,
        runner,
        spool,
        clock,
        lambda: Reading(wall_ns=clock.wall_ns(), mono_ns=clock.mono_ns()),
    )
    minutes.last_quality = {"steal_ratio": 0.25}
    ledger.expect(SERIES)
    assignment = Assignment("fra", (Peer("nyc", ipv4="192.0.2.1", limit_seconds=0.16, floor_seconds=0.08),))
    passive = Passive(FixedAddresses(), clock, ProcRoot(tmp_path), lambda: Reading(0, 0))
    passive.tracepoints = ScriptedEvents()
    captures = Captures(Capture(), tmp_path / "captures", lambda _: (), lambda *_: None, clock)
    captures.results["time"] += 1
    return exporter.View(
        assignment,
        ledger,
        runner,
        minutes,
        spool,
        Pusher(spool, None, "here"),
        Responder("127.0.0.1", 0, 1),
        QuietReflector(),
        passive,
        captures,
        Guard(),
    )
