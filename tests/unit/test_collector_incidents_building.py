"""Drafts made incidents: what packets, ports and figures add to a cause."""

import msgspec
import pytest

from agent.wire.series import Family
from collector.incidents.attribution import Cause, CauseKind, Place
from collector.incidents.breach import Breach, Kind
from collector.incidents.building import build
from collector.incidents.episodes import Block, episodes_of
from collector.incidents.joining import Mesh, join

PLACES = {
    name: Place(name, f"{name}-site", provider, region)
    for name, provider, region in (
        ("ams", "alder", "eu"), ("fra", "alder", "eu"), ("nyc", "birch", "us"), ("chi", "birch", "us"), ("sin", "cedar", "asia"),
    )
}  # fmt: skip
PAIRS = frozenset((a, b) for a in PLACES for b in PLACES if a != b)
MESH = Mesh(PLACES, dict.fromkeys(Kind, PAIRS))


def breach(at, source, destination, kind=Kind.LOSS, **more):
    figures = {"figure": 0.3, "usual": 0.0, "hit": 9, "probes": 30} | more
    return Breach(at * 300, source, destination, Family.IPV4, kind, 6.0, "tcp", **figures)


def blocks(breaches_at, count=6):
    """Two bad blocks among good ones: breaches_at(number of the block)."""
    return [
        Block(at * 300, tuple(PLACES), (), {}, tuple(breaches_at(at)) if at in (1, 2) else ())
        for at in range(count)
    ]


def found(breaches_at, known=(), count=6):
    row = blocks(breaches_at, count)
    return build(join(episodes_of(row), row, MESH, known), MESH)


def only(breaches_at):
    (known,) = found(breaches_at)
    return known.incident


def test_a_provider_that_loses_what_it_sends_is_blamed_outbound():
    """Both directions' probes fail; the reflectors' counts say that packets were lost on the way out."""

    def lost(at):
        for source, destination in PAIRS:
            out, into = (PLACES[end].provider == "birch" for end in (source, destination))
            if out != into:
                yield breach(at, source, destination, lost_forward=9 * out, lost_backward=9 * into)

    incident = only(lost)
    assert incident.cause == Cause(CauseKind.PROVIDER, "birch", "out", incident.cause.also)


@pytest.mark.parametrize(
    ("forward", "backward", "said"),
    [(9, 0, "ams → nyc"), (0, 9, "nyc → ams"), (5, 4, None), (2, 0, None), (0, 0, None)],
)
def test_the_direction_of_a_path_is_said_where_the_counts_leave_no_doubt(forward, backward, said):
    """Nine in ten of five packets or more; else it is the path."""

    def lost(at):
        yield breach(at, "ams", "nyc", lost_forward=forward, lost_backward=backward)
        yield breach(at, "nyc", "ams")

    cause = only(lost).cause
    if said is None:
        assert cause == Cause(CauseKind.PATH, "ams – nyc")
    else:
        assert cause == Cause(CauseKind.DIRECTION, said)


def test_loss_of_some_ports_is_one_leg():
    """Where fixed ports lose and others do not, one of several equal ways is bad."""

    def lost(at):
        yield breach(at, "ams", "nyc", lossy_legs=1)
        yield breach(at, "nyc", "ams")

    assert only(lost).cause == Cause(CauseKind.LEG, "ams – nyc")


def test_figures_are_of_all_paths_and_blocks():
    """Loss of all probes, the worst path first, every source a witness."""

    def lost(at):
        for source in ("ams", "nyc", "chi", "sin"):
            yield breach(at, source, "fra", hit=30, figure=1.0)
            yield breach(at, "fra", source, hit=15, figure=0.5)

    incident = only(lost)
    assert incident.cause.name == "fra"
    assert incident.loss_ratio == pytest.approx(0.75)
    assert (incident.broken_paths, incident.measured_paths) == (8, 8)
    assert (incident.sources_seeing, incident.sources_measuring) == (5, 5)
    assert [path.figure for path in incident.paths] == [1.0] * 4 + [0.5] * 4
    assert [(moment.broken_paths, moment.figure) for moment in incident.course] == [(8, 0.75)] * 2


def test_an_mtu_incident_gives_the_smallest_and_the_usual():
    """1380 where 1500 is usual, on the paths into one node."""

    def small(at):
        for source in ("ams", "nyc", "chi", "sin"):
            mtu = 1380.0 if source == "sin" else 1400.0
            yield msgspec.structs.replace(
                breach(at, source, "fra", Kind.MTU, figure=mtu, usual=1500.0, hit=0, probes=0), score=12.0
            )

    incident = only(small)
    assert (incident.path_mtu_bytes, incident.usual_path_mtu_bytes) == (1380, 1500)
    assert (incident.cause.name, incident.cause.direction) == ("fra", "in")


def test_a_path_that_breaks_again_at_once_belongs_to_the_incident_that_explains_it():
    """One straggler within a quarter of an hour is no second incident."""

    def lost(at):
        for source in ("ams", "nyc", "chi", "sin"):
            yield breach(at, source, "fra")
            yield breach(at, "fra", source)

    row = [*blocks(lost, 5)]
    row[4] = msgspec.structs.replace(row[4], breaches=(breach(4, "ams", "fra"),))
    later = [
        Block(at * 300, tuple(PLACES), (), {}, (breach(at, "ams", "fra"),) if at < 7 else ())
        for at in range(5, 10)
    ]
    made = build(join(episodes_of([*row, *later]), [*row, *later], MESH), MESH)
    assert [each.incident.cause.name for each in made] == ["fra"]


def test_what_is_carried_on_keeps_id_start_and_counts_each_block_once():
    """The same blocks seen again change nothing; further ones add to it; none ends it."""

    def lost(at):
        return [breach(at, "ams", "nyc"), breach(at, "nyc", "ams")]

    (first,) = found(lost, count=3)
    assert first.incident.end_s is None
    (again,) = found(lost, [first], count=3)
    assert again.incident == first.incident
    quiet = [Block(at * 300, tuple(PLACES), (), {}, ()) for at in range(3, 8)]
    (ended,) = build(join(episodes_of(quiet), quiet, MESH, [first]), MESH)
    assert (ended.incident.id, ended.incident.start_s, ended.incident.end_s) == (first.incident.id, 300, 900)


def test_an_incident_in_two_kinds_at_once_is_two():
    """Slow and lossy are different troubles, unless one host made both."""

    def both(at):
        for pair in (("ams", "nyc"), ("nyc", "ams")):
            yield breach(at, *pair)
            yield breach(at, *pair, Kind.LATENCY, figure=0.2, usual=0.1)

    assert sorted(each.incident.kind for each in found(both)) == [Kind.LATENCY, Kind.LOSS]
    row = [msgspec.structs.replace(block, flags={"ams": {"steal_ratio": 0.2}}) for block in blocks(both)]
    (own,) = build(join(episodes_of(row), row, MESH), MESH)
    assert own.incident.cause == Cause(CauseKind.OWN_HOST, "ams")
    assert own.incident.flags == {"steal_ratio": 0.2}
