"""Every scheduled probe ends in exactly one outcome, whatever the network, a probe, or this host's own stalls do."""

import asyncio
import errno
import logging
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scripted_packets
from agent.flight import Unavailable
from agent.ledger import Ledger
from agent.net.tcp import Handshake
from agent.probes import PROBES, Measure, Probe
from agent.probes.syn import SYN_KIND
from agent.runner import Runner, jobs_of
from agent.sample import Sample
from agent.schedule import phase_ns
from agent.wire.assignment import Assignment, Peer, ProbeSpec
from agent.wire.series import Family, Outcome, TimeSource
from fakes import NS, FakeClock, FixedAddresses, ScriptedNetwork, answered, settle

TICK_S = 0.1
START_WALL_S = 1_800_000_000


def assignment(*names, interval_s=1.0, rate=1000.0, **changes):
    spec = ProbeSpec("tcp", interval_s, 0.5)
    peers = tuple(
        Peer(name, ipv4=f"192.0.2.{n}", probes=(spec,), **changes) for n, name in enumerate(names, 1)
    )
    return Assignment("fra", peers, rate)


def scheduled_count(plan, clock_start_ns, mono_ns, wall_start_ns):
    """How many due times of this plan have passed, from first principles: wall times ≡ phase modulo the interval."""
    count = 0
    for job in jobs_of(plan):
        first = (phase_ns(job.key, job.interval_ns) - wall_start_ns) % job.interval_ns
        passed = mono_ns - clock_start_ns
        count += 0 if passed < first else (passed - first) // job.interval_ns + 1
    return count


class Desk:
    """One runner in a world of fakes."""

    def __init__(self, network=None, addresses=None):
        self.clock = FakeClock(START_WALL_S)
        self.start_ns = self.clock.mono_ns()
        self.ledger = Ledger()
        self.network = network or ScriptedNetwork()
        self.runner = Runner(self.ledger, self.network, FixedAddresses(addresses), self.clock, TICK_S)

    async def run(self, plan, *steps):
        """Run for each step; a negative one is a stall, time that passes without anything running."""
        await self.runner.plan(plan)
        running = asyncio.create_task(self.runner.run())
        for seconds in steps:
            if seconds < 0:
                self.clock.pass_ns(round(-seconds * NS))
            else:
                await self.clock.run_for(seconds)
        await settle()
        self.woken_ns = self.clock.mono_ns()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await settle()

    def outcomes(self):
        counts = {}
        for tally in self.ledger.totals.values():
            for outcome, count in tally.outcomes.items():
                counts[outcome] = counts.get(outcome, 0) + count
        return counts


async def answer_all(connects, timeout_seconds, done):
    for index in range(len(connects)):
        done(index, answered())


async def time_out(connects, timeout_seconds, done):
    for index in range(len(connects)):
        done(index, Handshake(errno.ETIMEDOUT, answered=False, rtt_ns=None, retransmissions=1, elapsed_ns=0))


async def raise_at_once(connects, timeout_seconds, done):
    raise OSError(errno.EMFILE, "Too many open files")


async def raise_half_way(connects, timeout_seconds, done):
    done(0, answered())
    raise RuntimeError("a bug")


async def forget_all(connects, timeout_seconds, done):
    return


async def forget_half(connects, timeout_seconds, done):
    for index in range(0, len(connects), 2):
        done(index, answered())


async def record_twice(connects, timeout_seconds, done):
    for index in (*range(len(connects)), 0):
        done(index, answered())


async def negative_rtt(connects, timeout_seconds, done):
    for index in range(len(connects)):
        done(index, answered(-5))


async def cancel_itself(connects, timeout_seconds, done):
    done(0, answered())
    raise asyncio.CancelledError


async def hang(connects, timeout_seconds, done):
    await asyncio.get_running_loop().create_future()


async def answer_later(connects, timeout_seconds, done):
    for index in range(len(connects)):
        await asyncio.sleep(0)
        done(index, answered())


SCRIPTS = (
    answer_all, time_out, raise_at_once, raise_half_way, forget_all, forget_half,
    record_twice, negative_rtt, cancel_itself, hang, answer_later,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    scripts=st.lists(st.sampled_from(SCRIPTS), max_size=40),
    steps=st.lists(st.floats(-5, 3).filter(lambda s: abs(s) > 0.001), min_size=1, max_size=8),
    peers=st.integers(1, 6),
    interval_s=st.sampled_from([0.2, 0.5, 1.0, 3.0]),
    rate=st.sampled_from([1.0, 3.0, 1000.0]),
    unresolved=st.booleans(),
)
def test_scheduled_probes_are_the_sum_of_outcomes(scripts, steps, peers, interval_s, rate, unresolved):
    """Answers, errors, bugs, forgotten and doubled records, hangs, stalls, the rate cap: nothing vanishes, nothing doubles."""
    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(check_sum(scripts, steps, peers, interval_s, rate, unresolved))
    finally:
        logging.disable(logging.NOTSET)


async def check_sum(scripts, steps, peers, interval_s, rate, unresolved):
    plan = assignment(*(f"p{n}" for n in range(peers)), interval_s=interval_s, rate=rate)
    desk = Desk(ScriptedNetwork(scripts), {"192.0.2.1": None} if unresolved else None)
    await desk.run(plan, *steps, 1.5)
    assert not desk.runner._bursts
    # the loop wakes at least each second, so after the last step it has seen all but the latest due times
    ended = sum(desk.outcomes().values())
    upper = scheduled_count(plan, desk.start_ns, desk.woken_ns, START_WALL_S * NS)
    lower = scheduled_count(
        plan, desk.start_ns, desk.woken_ns - round((TICK_S + 0.001) * NS), START_WALL_S * NS
    )
    assert lower <= ended <= upper
    windows = desk.ledger.close_window(START_WALL_S, 60, {})
    assert sum(sum(window.outcomes.values()) for window in windows) == ended


async def test_a_stall_is_counted_not_hidden():
    """Ten minutes without a CPU: the due times in between are skipped and counted, each series goes on in its rhythm."""
    desk = Desk()
    await desk.run(assignment("nyc"), 10, -600, 10)
    outcomes = desk.outcomes()
    assert outcomes[Outcome.SKIPPED] == pytest.approx(600, abs=1)
    assert outcomes[Outcome.OK] == pytest.approx(20, abs=2)
    assert desk.runner.delays.max_ns == pytest.approx(600 * NS, rel=0.01)


async def test_one_broken_burst_leaves_the_others_alone(caplog):
    """A probe that raises fails its own targets, once each, with the reason; the next burst is as usual."""
    desk = Desk(ScriptedNetwork([raise_half_way]))
    await desk.run(assignment("nyc", "sgp"), 10)
    failed = [miss for miss in desk.runner.misses if miss.sample.outcome is Outcome.FAILED]
    assert len(failed) <= 1
    assert desk.outcomes()[Outcome.OK] >= 18
    assert "probe failed" in caplog.text


async def test_what_a_probe_records_twice_counts_once(caplog):
    """The second record is an error in the log, not a sample."""
    desk = Desk(ScriptedNetwork([record_twice] * 100))
    plan = assignment("nyc")
    await desk.run(plan, 10)
    assert desk.outcomes() == {Outcome.OK: len(desk.network.bursts)}
    assert "not asked for" in caplog.text


async def test_an_impossible_time_is_a_failure_not_a_latency():
    """A negative RTT never reaches a histogram."""
    desk = Desk(ScriptedNetwork([negative_rtt] * 100))
    await desk.run(assignment("nyc"), 5)
    assert set(desk.outcomes()) == {Outcome.FAILED}
    assert all(tally.rtt.count == 0 for tally in desk.ledger.totals.values())


async def test_probes_in_flight_at_the_end_are_skipped():
    """A stop is no loss on the path."""
    desk = Desk(ScriptedNetwork([hang] * 100))
    await desk.run(assignment("nyc", "sgp"), 3)
    assert set(desk.outcomes()) == {Outcome.SKIPPED}
    assert desk.runner.misses[-1].sample.detail == "the agent was stopped"


async def test_a_burst_cancelled_before_its_first_step_still_counts():
    """A task that never ran a line has its targets ended all the same."""
    desk = Desk()
    await desk.runner.plan(assignment("nyc"))
    desk.clock.pass_ns(2 * NS)
    desk.runner._fire(desk.clock.mono_ns())
    for burst in desk.runner._bursts:
        burst.cancel()
    await settle()
    assert sum(desk.outcomes().values()) == 2


async def test_over_the_cap_no_peer_starves():
    """At half the rate asked for, each peer keeps about half its probes."""
    names = [f"p{n}" for n in range(10)]
    desk = Desk()
    await desk.run(assignment(*names, rate=5.0), 100)
    for tally in desk.ledger.totals.values():
        assert 40 <= tally.outcomes[Outcome.OK] <= 60
    sent = sum(len(burst) for burst in desk.network.bursts)
    assert sent <= 100 * 5 + 5 + 5


async def test_a_changed_plan_keeps_what_stays_and_drops_what_left():
    """Counters of a peer that stays go on; those of a peer, a family or a probe that left are gone."""
    desk = Desk()
    both = Assignment(
        "fra", (Peer("nyc", ipv4="192.0.2.1", ipv6="2001:db8::1"), Peer("sgp", ipv4="192.0.2.2"))
    )
    await desk.run(both, 60)
    before = {
        series.family: tally for series, tally in desk.ledger.totals.items() if series.destination == "nyc"
    }
    await desk.run(Assignment("fra", (Peer("nyc", ipv4="192.0.2.1"),)), 60)
    [(series, tally)] = desk.ledger.totals.items()
    assert (series.destination, series.family) == ("nyc", Family.IPV4)
    assert tally is before[Family.IPV4]
    assert tally.outcomes[Outcome.OK] == pytest.approx(12, abs=2)


async def test_bursts_group_what_is_due_in_the_same_tick():
    """With many peers due per tick there are far fewer bursts than probes, and each is one call of the network."""
    desk = Desk()
    await desk.run(assignment(*(f"p{n}" for n in range(100))), 10)
    assert len(desk.network.bursts) <= 101
    assert sum(len(burst) for burst in desk.network.bursts) == pytest.approx(1000, abs=20)


async def test_a_name_without_an_address_is_unresolved():
    """A broken resolver is neither loss nor silence."""
    desk = Desk(addresses={"192.0.2.1": None})
    await desk.run(assignment("nyc"), 5)
    assert set(desk.outcomes()) == {Outcome.UNRESOLVED}
    assert desk.runner.misses[-1].sample.detail == "192.0.2.1: no such name"


async def test_over_the_limit_is_judged_by_the_peers_own_limit():
    """10 ms answers against a limit of 9 ms are all over it; without a limit nothing is judged."""
    for limit, judged, over in ((0.009, 5, 5), (0.010, 5, 0), (None, 0, 0)):
        desk = Desk()
        await desk.run(assignment("nyc", limit_seconds=limit), 5)
        [tally] = desk.ledger.totals.values()
        assert (tally.judged, tally.over_limit) == (pytest.approx(judged, abs=1), pytest.approx(over, abs=1))


def probe_of(run, **changes):
    measures = (Measure("size", "gauge", "lightfloor_x_bytes", "x"),)
    return Probe("x", PROBES["tcp"].options, run, TimeSource.NONE, measures=measures, **changes)


async def test_a_probe_that_may_not_overlap_does_not(monkeypatch):
    """While one runs the next to the same peer is skipped; afterwards it runs again."""
    waiting = []

    async def slow(burst):
        waiting.append(asyncio.get_running_loop().create_future())
        await waiting[-1]
        for target in burst.targets:
            burst.record(target, Sample(Outcome.OK))

    monkeypatch.setitem(PROBES, "tcp", probe_of(slow, overlapping=False))
    desk = Desk()
    running = asyncio.create_task(desk.run(assignment("nyc"), 5.5, 5))
    await settle()
    while len(waiting) < 1:
        await asyncio.sleep(0)
    await running
    assert len(waiting) == 1
    assert set(desk.outcomes()) == {Outcome.SKIPPED}


async def test_a_probes_memory_lasts_as_long_as_its_target(monkeypatch):
    """What a probe remembers of a target is there in the next burst and gone when the target is."""
    seen = []

    async def remembering(burst):
        for target in burst.targets:
            burst.memory[target] = burst.memory.get(target, 0) + 1
            seen.append((target.destination, burst.memory[target]))
            burst.record(target, Sample(Outcome.OK))

    monkeypatch.setitem(PROBES, "tcp", probe_of(remembering))
    desk = Desk()
    await desk.run(assignment("nyc", "sgp"), 5)
    assert max(count for name, count in seen if name == "nyc") >= 4
    await desk.runner.plan(assignment("nyc"))
    assert {target.destination for target in desk.runner._memory["tcp"]} == {"nyc"}


async def test_events_are_kept_as_the_wire_will_show_them(monkeypatch):
    """Evidence goes with the next batch; what cannot be sent is the probe's failure and not the batch's."""
    details = [{"from_bytes": 1500}, {"impossible": object()}]

    async def eventful(burst):
        [target] = burst.targets
        burst.event(target, "mtu_step", details.pop(0))
        burst.record(target, Sample(Outcome.OK))

    monkeypatch.setitem(PROBES, "tcp", probe_of(eventful))
    desk = Desk()
    await desk.run(assignment("nyc"), 2)
    [event] = desk.runner.take_events()
    assert (event.kind, event.detail, event.destination) == ("mtu_step", {"from_bytes": 1500}, "nyc")
    assert desk.outcomes() == {Outcome.OK: 1, Outcome.FAILED: 1}
    assert desk.runner.take_events() == []


def test_jobs_are_one_per_probe_and_family():
    """A peer with both families is probed over both, towards the port of the peer."""
    jobs = jobs_of(Assignment("fra", (Peer("nyc", ipv4="192.0.2.1", ipv6="2001:db8::1", port=443),)))
    assert [(job.series.family, job.host, job.port) for job in jobs] == [
        (Family.IPV4, "192.0.2.1", 443),
        (Family.IPV6, "2001:db8::1", 443),
    ]


class Privileges:
    """A network on which SYNs cannot be sent until `granted`; then no packet is ever answered."""

    def __init__(self):
        self.packets = scripted_packets.ScriptedNetwork(SYN_KIND)
        self.granted = False

    def __getattr__(self, name):
        return getattr(self.packets, name)

    def channel(self, kind, family):
        if not self.granted:
            raise Unavailable("a raw socket needs CAP_NET_RAW")
        return self.packets.channel(kind, family)


async def test_what_the_host_lacks_is_said_once_and_when_it_is_there_again(caplog):
    """Every probe is unavailable and none is lost; one line when it begins and one when it ends; the reason stands meanwhile."""
    caplog.set_level("INFO", "agent.runner")
    network = Privileges()
    desk = Desk(network)
    plan = Assignment("here", (Peer("there", ipv4="192.0.2.9", probes=(ProbeSpec("syn", 1.0, 0.5),)),), 100.0)
    await desk.run(plan, 5)
    assert desk.runner.unavailable == {("syn", Family.IPV4): "a raw socket needs CAP_NET_RAW"}
    network.granted = True
    await desk.run(plan, 3)
    assert desk.runner.unavailable == {}
    assert set(desk.outcomes()) == {Outcome.UNAVAILABLE, Outcome.TIMEOUT}
    said = [record.message for record in caplog.records if "available" in record.message]
    assert said == ["probe is unavailable on this host", "probe is available again"]


async def test_a_probe_that_is_no_longer_asked_for_is_not_unavailable():
    """When the plan drops it, its metric goes with it."""
    desk = Desk(Privileges())
    plan = Assignment("here", (Peer("there", ipv4="192.0.2.9", probes=(ProbeSpec("syn", 1.0, 0.5),)),), 100.0)
    await desk.run(plan, 3)
    await desk.runner.plan(Assignment("here"))
    assert desk.runner.unavailable == {}


async def test_a_probe_can_be_run_now():
    """Asked for at once it runs beside its rhythm, once; what the plan does not have does not run."""
    network = ScriptedNetwork()
    network.handshakes = answer_all
    desk = Desk(network)
    await desk.runner.plan(Assignment("fra", (Peer("nyc", ipv4="192.0.2.1"),)))
    assert desk.runner.run_now("nyc", Family.IPV4, "tcp")
    assert not desk.runner.run_now("nyc", Family.IPV4, "trace")
    assert not desk.runner.run_now("tok", Family.IPV4, "tcp")
    await settle()
    assert desk.outcomes() == {Outcome.OK: 1}
