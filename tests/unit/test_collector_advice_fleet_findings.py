"""Relays, hubs, drift and effects as findings."""

import pytest

from agent.advice.advise import Advice
from agent.advice.apply import files_to_apply
from agent.advice.finding import LANGUAGES, Request, Severity, Sysctl
from collector.advice.drift import Member, compare
from collector.advice.effect import Effect, Figure, Outcome
from collector.advice.fleet_findings import drift_finding, effect_finding, hub_finding, relay_findings
from collector.advice.likelihood import Symptom
from collector.advice.relay import Relay, hubs, matrix_of
from siblings import HONG_KONG, WORKER

STAR = {("fra", "nyc"): 0.09, ("fra", "sin"): 0.16, ("nyc", "sin"): 0.23}
TIMES = STAR | {(b, a): seconds for (a, b), seconds in STAR.items()}


def judged(outcome, change):
    return Effect(Figure.P50, outcome, True, 0.1, change, change - 0.02, change + 0.02, 0.95, 6, 9, 100, 48)


def test_a_source_has_one_finding_with_its_best_relay_and_what_that_costs():
    """Both ways are listed, the first one's price and forwarding are stated."""
    best, other = (
        Relay("sao", "mia", name, direct, (0.06, 0.07), 0.0005)
        for name, direct in (("sin", 0.25), ("tyo", 0.2))
    )
    (found,) = relay_findings([best, other], {"mia": "0.09 USD/GB"}, {"sin": "192.0.2.7"})
    assert (found.id, found.node, found.severity) == ("relay", "sao", Severity.INFO)
    assert found.subjects == ("sin", "tyo")
    assert "0.09 USD/GB" in found.words["en"].risk
    assert "0.5 ms of forwarding" in found.words["en"].what
    assert len(found.evidence) == 2
    assert "proxy_pass 192.0.2.7:443" in found.as_json()["change"]


def test_a_hub_is_named_only_where_it_beats_the_present_one_by_enough():
    """Singapore as the hub is bettered by Frankfurt; Frankfurt by nobody; a mesh hears which it would be."""
    ranked = hubs(matrix_of(TIMES))
    better = hub_finding(ranked, "sin")
    assert (better.node, better.subjects) == ("sin", ("fra", "sin"))
    assert "sin now: 230.0 ms" in better.words["en"].what
    assert "当前 sin" in better.words["zh"].what
    assert hub_finding(ranked, "fra") is None
    assert hub_finding(ranked, None).node == "fra"


def test_a_hub_that_some_spoke_never_measured_is_not_recommended():
    """Nor is anything without measurements."""
    apart = hubs(matrix_of({("a", "b"): 0.1, ("c", "d"): 0.1}))
    assert hub_finding(apart, "a") is None
    assert hub_finding(apart, None) is None
    assert hub_finding([], None) is None


def members():
    healthy = [Member(f"w{number}", "nebula", "worker", None, WORKER, healthy=True) for number in range(3)]
    return [*healthy, Member("hkg", "nebula", "worker", None, HONG_KONG)]


def test_drift_is_a_finding_only_with_a_symptom_and_a_likely_difference():
    """Being different is no fault, and neither is being slow like everybody."""
    found = drift_finding(compare("hkg", members(), [Symptom.LOSS]))
    assert found.severity is Severity.WARNING
    assert "tunnelled packets are larger" in found.words["en"].title
    assert "隧道" in found.words["zh"].title
    assert drift_finding(compare("hkg", members())) is None
    same = [*members()[:3], Member("hkg", "nebula", "worker", None, WORKER | {"some.name": 1})]
    assert drift_finding(compare("hkg", same, [Symptom.LOSS])) is None


def test_harm_is_undone_parameter_by_parameter():
    """A sysctl goes back to what it was, with what undoes that; what no file sets is asked for in words."""
    changed = [
        ("sysctl.net.ipv4.tcp_rmem", [4096, 131072, 6291456], [4096, 16384, 65536]),
        ("interface.eth0.mtu", 1500, 9000),
    ]
    found = effect_finding(
        "nyc", "2026-11-01T00:00:00Z", Outcome.HARMED, changed, [judged(Outcome.HARMED, 0.2)]
    )
    assert found.id == "change-harmed"
    assert found.steps[0] == Sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456", "4096 16384 65536")
    assert isinstance(found.steps[1], Request)
    assert "p50_seconds +20%" in found.words["en"].title
    assert all(found.as_json(language)["undo"] for language in LANGUAGES)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("sysctl.net.ipv4.tcp_congestion_control", "{{ lookup('pipe', 'id') }}"),
        ("sysctl.net.ipv4.tcp_congestion_control", "bbr\nkernel.panic = 1"),
        ("sysctl.net.ipv4.tcp_congestion_control", "$(id)"),
        ("sysctl.net.ipv4.tcp_congestion_control", {"a": 1}),
        ("sysctl.[x]", "1"),
    ],
)
def test_what_a_stranger_made_up_never_becomes_a_step_of_files(name, before):
    """A node that lies about its facts does not get its words into a script or a playbook that the operator runs."""
    found = effect_finding(
        "nyc", "2026-11-01T00:00:00Z", Outcome.HARMED, [(name, before, "x")], [judged(Outcome.HARMED, 0.2)]
    )
    assert [type(step) for step in found.steps] == [Request]
    for text in files_to_apply(Advice("nyc", (found,), ())).values():
        shown = [line for line in text.splitlines() if "lookup" in line or "panic" in line or "$(id)" in line]
        assert all(line.lstrip().startswith("#") for line in shown)


@pytest.mark.parametrize(("outcome", "change"), [(Outcome.HELPED, -0.2), (Outcome.NO_EFFECT, 0.001)])
def test_help_and_no_effect_are_kept_for_the_record(outcome, change):
    """As info without anything to do."""
    found = effect_finding(
        "nyc", "2026-11-01T00:00:00Z", outcome, [("sysctl.x", 0, 1)], [judged(outcome, change)]
    )
    assert (found.id, found.severity, found.steps) == ("change-judged", Severity.INFO, ())
    assert outcome.value in found.words["en"].title


def test_what_nobody_can_tell_yet_is_no_finding():
    """The command `effect` says how long to wait; advice stays silent."""
    assert effect_finding("nyc", "2026-11-01T00:00:00Z", Outcome.CANNOT_TELL, [], []) is None
