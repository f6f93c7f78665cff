"""From findings to stories: which cause, what speaks for and against it, what would decide."""

from dataclasses import replace

import pytest

from agent.advice.advise import advise
from agent.advice.finding import Severity
from agent.advice.rules import RULES
from collector.advice.causes import CAUSES, COMPLAINTS, WORDS_OF_THE_WAY, Complaint
from collector.advice.diagnosis import complaints_of, diagnose, suspects_of
from collector.advice.fleet import advise_fleet
from collector.fleet import parse_fleet
from histories import fleet_text
from hosts import MS, bare, host, path
from scenarios import (
    DETOUR,
    FAST,
    HEALTHY,
    HOLE,
    LOSSY,
    NAMES,
    SCENARIOS,
    TAIL,
    TIMEOUTS,
    everywhere,
    far,
    peers,
)


def ranked(own):
    findings = {finding.id: finding for finding in advise(own).findings}
    return [suspect.cause for suspect in suspects_of(own, findings, complaints_of(findings))]


def stories(own):
    return diagnose(own, advise(own).findings)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_cause_at_fault_is_among_the_first_three(name):
    """Of one fault or two."""
    own, causes = SCENARIOS[name]
    assert set(causes) <= set(ranked(own)[:3])


def test_the_first_cause_is_right():
    """In at least 95% of the scenarios the first cause named is one that is at fault; the set is large enough to say so."""
    right = [name for name, (own, causes) in SCENARIOS.items() if ranked(own)[0] in causes]
    assert len(SCENARIOS) >= 40
    assert len(right) >= 0.95 * len(SCENARIOS), sorted(SCENARIOS.keys() - set(right))


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_node_has_no_story(name):
    """Other kernels, sizes, families, containers: no warning, hence nothing to tell."""
    assert len(HEALTHY) >= 20
    assert [
        finding.id for finding in advise(HEALTHY[name]).findings if finding.severity is not Severity.INFO
    ] == []
    assert stories(HEALTHY[name]) == []


def test_a_fleet_of_healthy_nodes_has_no_warning_however_they_differ():
    """All of them in one role: differences alone are no fault."""
    nodes = {f"n{number}": ("nebula", "site") for number in range(len(HEALTHY))}
    text = fleet_text(nodes, ["nebula"], {"site": ("eu", 50.1, 8.7)}).replace(
        "site =", 'role = "web"\nsite ='
    )
    fleet = parse_fleet(text, "fleet")
    evidence = {f"n{number}": replace(own, node=f"n{number}") for number, own in enumerate(HEALTHY.values())}
    advices = advise_fleet(fleet, evidence)
    assert len(advices) == len(HEALTHY)
    worse = [
        (each.node, finding.id)
        for each in advices
        for finding in each.findings
        if finding.severity is not Severity.INFO
    ]
    assert worse == []


def test_a_p99_of_few_samples_makes_no_relay():
    """A hundred samples of each leg and of the direct path do; fewer have no P99."""

    def relays(samples):
        text = fleet_text(dict.fromkeys("abr", ("nebula", "x")), ["nebula"], {"x": ("eu", 50.1, 8.7)})
        times = {"a": {"b": 200, "r": 50}, "r": {"b": 50, "a": 50}, "b": {"r": 50, "a": 200}}
        evidence = {
            name: host(
                node=name, paths=[path(to, p99_ns=ms * MS, samples=samples) for to, ms in found.items()]
            )
            for name, found in times.items()
        }
        advices = advise_fleet(parse_fleet(text, "fleet"), evidence)
        return [each.node for each in advices for finding in each.findings if finding.id == "relay"]

    assert relays(100) == ["a", "b"]
    assert relays(99) == []


def test_one_cause_with_several_findings_is_one_story():
    """A black hole shows as black hole, missing probing and timeouts; that is one thing to repair."""
    (story,) = stories(host(counters=TIMEOUTS, paths=peers(path(**HOLE, segments_retransmitted=7_000))))
    assert story.causes[0].cause == "pmtu-black-hole"
    assert set(story.complaints) == {Complaint.LARGE_PACKETS, Complaint.LOSS}
    assert {"pmtu-black-hole", "mtu-probing", "retransmits"} <= set(story.findings)


def test_of_two_equal_faults_the_one_that_explains_more_comes_first():
    """An emulated device limits the rate, a window of 64 KiB on a long path does so for certain."""
    own = host(
        {"interface.eth0.driver": "e1000", "sysctl.net.ipv4.tcp_window_scaling": 0},
        paths=[far(throughput_bits_per_second=2e7)],
    )
    findings = {finding.id: finding for finding in advise(own).findings}
    assert findings["nic-driver"].severity is findings["tcp-window-scaling"].severity
    assert ranked(own)[:2] == ["tcp-window-scaling", "nic-driver"]


def test_two_faults_are_two_stories():
    """A detour and a full accept queue have nothing in common."""
    own = host(counters={"tcp_listen_overflows": 400, "tcp_listen_drops": 400}, paths=peers(path(**DETOUR)))
    assert {story.causes[0].cause for story in stories(own)} == {"detour", "listen-queue"}


def test_signs_speak_for_and_against():
    """The same stolen CPU time is likely where every path suffers, and unlikely where one of four does."""

    def suspect(paths):
        own = host(gauges={"steal_ratio": 0.1}, paths=paths)
        (story, *_) = stories(own)
        return next(cause for cause in story.causes if cause.cause == "virt-acceleration")

    everybody, one = suspect(everywhere(**TAIL)), suspect(peers(path(**TAIL)))
    assert everybody.score > one.score
    assert any("suffer alike" in sign.en for sign in everybody.supporting)
    assert any("are well" in sign.en for sign in one.opposing)


def test_what_is_not_measured_is_unknown_and_names_the_next_measurement():
    """Two rivals close together: the story ends with the command that would decide, with a real address in it."""
    own = host(counters={"softnet_dropped": 90_000, **FAST}, paths=everywhere(**LOSSY))
    (story,) = stories(own)
    assert {cause.cause for cause in story.causes[:2]} == {"softnet", "path-loss"}
    assert "softnet_stat" in story.next_measurement or "198.51.100.7" in story.next_measurement
    blind = replace(own, kernel=None)
    assert all(cause.cause != "softnet" for story in stories(blind) for cause in story.causes)


def test_a_clear_first_cause_needs_no_further_measurement():
    """An emulated CPU on which every path suffers leads by more than its rivals can gain."""
    facts = {"virtualisation.kind": "qemu-tcg", "virtualisation.accelerated": False}
    (story,) = stories(host(facts, paths=everywhere(**TAIL)))
    assert story.next_measurement is None


def test_nothing_known_is_no_story():
    """No evidence, no cause."""
    assert stories(bare()) == []


def test_every_cause_has_its_rule_or_its_question_and_words_in_both_languages():
    """A cause that nothing can find would never be named; one found by a question needs its own words."""
    rules = {rule.id for rule in RULES} | {"change-harmed", "fleet-drift"}
    for cause in CAUSES:
        assert (cause.id in rules) != (cause.id in WORDS_OF_THE_WAY)
        assert (cause.question is None) == (cause.id in rules)
        assert all(0 < link <= 1 for link in cause.explains.values())
        for sign in cause.signs:
            assert sign.en
            assert any("一" <= letter <= "鿿" for letter in sign.zh)
    assert rules >= COMPLAINTS.keys()
    assert len({cause.id for cause in CAUSES}) == len(CAUSES)


@pytest.mark.parametrize("name", SCENARIOS)
def test_stories_name_every_complaint_once(name):
    """What is wrong stands in exactly one story."""
    own, _ = SCENARIOS[name]
    findings = {finding.id: finding for finding in advise(own).findings}
    told = [complaint for story in stories(own) for complaint in story.complaints]
    assert len(told) == len(set(told))
    explainable = {
        complaint
        for suspect in suspects_of(own, findings, complaints_of(findings))
        for complaint in suspect.explains
    }
    assert set(told) == explainable


def test_the_peer_in_a_measurement_is_one_that_is_concerned():
    """Not the first path that comes along."""
    own = host(
        paths=[path("AMS", address="192.0.2.1"), path("FRA", address="192.0.2.9", p50_ns=20 * MS, **HOLE)]
    )
    (story,) = stories(own)
    assert story.causes[0].measurement == "lightfloor-agent probe mtu 192.0.2.9"
    assert NAMES[0] == "FRA"
