import pytest

from agent.wire.series import Family, SeriesKey, TimeSource
from collector.latency import Verdict
from collector.standing import Exclusion, standing_of_period
from collector.store.schema import open_reader
from collector.store.tiers import Period
from tests.batches import DAY, MS, batch, series, window
from tests.small_fleet import fill, fleet, maintenance

HOUR = Period(DAY, DAY + 3600)


@pytest.fixture
def standing(tmp_path):
    opened = []

    def ask(windows, more="", period=HOUR, path=None, merge=False):
        fill(tmp_path / "store.db", [batch(windows)], DAY + 86400, merge)
        opened.append(open_reader(tmp_path / "store.db"))
        return standing_of_period(opened[-1], fleet(more), period, path)

    yield ask
    for connection in opened:
        connection.close()


def one(standing, source="ams", destination="fra"):
    (row,) = [row for row in standing.rows if (row.source, row.destination) == (source, destination)]
    return row


def minutes(count, values_ns=(7 * MS,) * 6, limit_ns=12 * MS, **more):
    return [
        window(start_s=DAY + 60 * i, values_ns=values_ns, limit_ns=limit_ns, **more) for i in range(count)
    ]


def test_a_path_is_judged_by_its_stored_counts_and_the_fleet(standing):
    """Floor and limit come from the fleet, percentiles and counts from the store, the verdict from both."""
    row = one(standing(minutes(60)))
    assert (row.verdict, row.samples, row.over_limit, row.minutes) == (Verdict.PASS, 360, 0, 60)
    assert row.floor_seconds == pytest.approx(0.00357, rel=0.01)
    assert row.limit_seconds == pytest.approx(2 * row.floor_seconds + 0.005)
    assert row.p99_seconds == pytest.approx(0.007)
    assert (row.period_start, row.period_end) == ("2025-10-09T00:00:00Z", "2025-10-09T01:00:00Z")


def test_every_path_of_the_fleet_has_a_row_even_without_data(standing):
    """A path that is silent is shown as NO_DATA, not left out; probes without times ask for no verdict."""
    found = standing(minutes(60))
    assert len(found.rows) == 6
    silent = one(found, "fra", "ams")
    assert (silent.verdict, silent.samples, silent.p99_seconds, silent.loss_ratio) == (
        Verdict.NO_DATA,
        0,
        None,
        None,
    )
    assert {row.probe for row in found.rows} == {"tcp"}


def test_a_node_outside_the_fleet_is_shown_without_a_floor(standing):
    """What is measured towards a stranger is kept, and not judged."""
    row = one(standing([window(series(destination="example"))]), "ams", "example")
    assert (row.floor_seconds, row.limit_seconds, row.verdict) == (None, None, Verdict.NOT_PROVEN)


def test_spoiled_minutes_are_listed_and_do_not_count(standing):
    """The host's own fault changes neither percentile nor loss, and its reason and extent are there."""
    spoiled = [
        window(
            start_s=DAY + 60 * i,
            values_ns=[90 * MS],
            limit_ns=12 * MS,
            quality={"steal_ratio": 0.1 * i},
            lost=3,
        )
        for i in range(50, 55)
    ]
    row = one(standing([*minutes(50), *spoiled]))
    assert (row.max_seconds, row.loss_ratio, row.minutes, row.excluded_minutes) == (0.007, 0.0, 50, 5)
    assert row.exclusions == (Exclusion("steal_ratio", 5, pytest.approx(5.4)),)


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ("", 40),
        ('nodes = ["fra"]', 40),
        ('sites = ["amsterdam"]', 40),
        ('providers = ["alpha"]', 40),
        ('nodes = ["nyc"]', 60),
    ],
)
def test_announced_maintenance_does_not_count_for_the_paths_it_covers(standing, scope, counted):
    """Scope is by provider, site or node at either end; the row says how long and why."""
    row = one(standing(minutes(60), maintenance(DAY + 600, DAY + 1800, scope)))
    assert row.minutes == counted
    assert [(e.reason, e.minutes, e.start, e.end, e.late) for e in row.exclusions] == (
        [("maintenance: router", 20, "2025-10-09T00:10:00Z", "2025-10-09T00:30:00Z", None)]
        if counted == 40
        else []
    )
    assert row.maintenance_minutes == 60 - counted


def test_work_announced_twice_counts_once(standing):
    """Overlapping windows are both listed; their minutes, and the spoiled ones within, are taken out once."""
    spoiled = window(start_s=DAY + 1200, values_ns=[90 * MS], limit_ns=12 * MS, quality={"steal_ratio": 0.5})
    both = maintenance(DAY + 600, DAY + 1800) + maintenance(DAY + 1200, DAY + 2400, 'nodes = ["ams"]')
    row = one(standing([*minutes(60), spoiled], both))
    assert [(e.reason, e.minutes) for e in row.exclusions] == [
        ("maintenance: router", 20),
        ("maintenance: router", 10),
    ]
    assert (row.minutes, row.maintenance_minutes, row.excluded_minutes) == (30, 30, 0)


def test_maintenance_does_not_count_for_mtu_and_retransmits_either(standing):
    """What is announced spoils no promise: the smallest path MTU is that of the other time."""
    probes = []
    for i, mtu in enumerate((1500.0, 1280.0, 1500.0)):
        each = window(
            SeriesKey("ams", "fra", "mtu", Family.IPV4, TimeSource.NONE), DAY + 600 * i, values_ns=[]
        )
        each.gauges = {"path_mtu_bytes": mtu}
        probes.append(each)
    more = '\n[[classes]]\nname = "big"\npath_mtu_bytes_min = 1400\n[[applications]]\nclass = "big"\nnodes = ["ams", "fra"]\n'
    found = standing([*minutes(60), *probes], more + maintenance(DAY + 600, DAY + 660), merge=True)
    (criterion,) = [c for c in one(found).criteria if c.name == "path_mtu_bytes"]
    assert (criterion.value, criterion.verdict) == (1500, Verdict.PASS)


VERSIONS = """
[[classes]]
name = "changing"
multiplier = 4.0
valid_until = 2025-10-09T00:30:00Z
[[classes]]
name = "changing"
multiplier = 2.0
allowance_ms = {allowance}
valid_from = 2025-10-09T00:30:00Z
[[applications]]
class = "changing"
nodes = ["ams", "fra"]
"""
OLD_MS, NEW_MS = 4 * 3.569364, 2 * 3.569364


def changing(first_ms, second_ms, limits_ms=(OLD_MS, NEW_MS)):
    """Two half hours with these times, judged by the agent against these limits, twelve samples a minute."""
    return [
        window(
            start_s=DAY + 60 * i,
            values_ns=[round((first_ms if i < 30 else second_ms) * MS)] * 12,
            limit_ns=round(limits_ms[i >= 30] * MS),
        )
        for i in range(60)
    ]


def test_a_contract_change_is_judged_version_by_version(standing):
    """What the first version allowed is no breach because the second one would forbid it."""
    row = one(standing(changing(10, 6.5), VERSIONS.format(allowance=0)))
    assert row.limit_seconds == pytest.approx(NEW_MS / 1e3, rel=1e-3)
    assert [(v.verdict, v.samples, v.over_limit, v.proof.exact) for v in row.versions] == [
        (Verdict.PASS, 360, 0, True),
        (Verdict.PASS, 360, 0, True),
    ]
    assert (row.verdict, row.samples, row.over_limit) == (Verdict.PASS, 720, 0)


@pytest.mark.parametrize("merge", [True, False])
def test_an_agent_that_hears_late_of_a_change_costs_no_exactness(standing, merge):
    """The first minutes of the new version were compared with the old limit: the others are counted one by one, with
    their clustering; those few stand in the percentiles only.
    """
    windows = changing(10, 6.5)
    slow = [window(start_s=w.start_s, values_ns=[8 * MS] * 2, limit_ns=w.limit_ns) for w in windows[40:43]]
    late = window(start_s=DAY + 1800, values_ns=[round(6.5 * MS)] * 12, limit_ns=round(OLD_MS * MS))
    found = standing([*windows[:30], late, *windows[31:], *slow], VERSIONS.format(allowance=0), merge=merge)
    first, second = one(found).versions
    assert (first.samples, first.proof.samples, first.proof.exact) == (360, 360, True)
    assert (second.samples, second.proof.samples, second.over_limit, second.proof.exact) == (
        366,
        354,
        6,
        True,
    )
    assert second.proof.design_effect > 1.5


@pytest.mark.parametrize(("times", "breached"), [((16, 6.5), 0), ((10, 9), 1)])
def test_a_breach_of_either_version_is_a_breach_and_the_row_says_of_which(standing, times, breached):
    """The worst version's verdict stands, with its time in the reason."""
    row = one(standing(changing(*times), VERSIONS.format(allowance=0)))
    verdicts = [version.verdict for version in row.versions]
    assert verdicts[1 - breached] is Verdict.PASS
    assert row.verdict is verdicts[breached] is Verdict.UNACHIEVABLE
    assert row.reason.startswith(row.versions[breached].period_start)
    assert row.over_limit == 360


def test_maintenance_within_a_version_does_not_count_for_it(standing):
    """The breach lies in announced work: both versions pass on what is left."""
    windows = changing(10, 6.5)
    slow = [window(start_s=w.start_s, values_ns=[30 * MS] * 12, limit_ns=w.limit_ns) for w in windows[2:5]]
    found = standing([*windows, *slow], VERSIONS.format(allowance=0) + maintenance(DAY + 120, DAY + 300))
    row = one(found)
    assert [(v.verdict, v.samples, v.over_limit) for v in row.versions] == [
        (Verdict.PASS, 324, 0),
        (Verdict.PASS, 360, 0),
    ]


def test_a_version_without_data_leaves_the_row_unproven(standing):
    """Silence after a change of contract is no proof that the new terms were kept."""
    row = one(standing(changing(10, 6)[:30], VERSIONS.format(allowance=0)))
    assert [version.verdict for version in row.versions] == [Verdict.PASS, Verdict.NO_DATA]
    assert row.verdict is Verdict.NOT_PROVEN


def test_counts_of_another_limit_are_not_taken_for_this_one(standing):
    """The file was changed without dates: the agent's counts are of the old limit, so the histogram answers."""
    row = one(standing(changing(10, 10, (9, 9)), VERSIONS.format(allowance=0)))
    assert [(v.over_limit, v.proof.exact) for v in row.versions] == [(0, False), (360, False)]


def test_a_contract_renewed_on_the_same_terms_is_no_change(standing):
    """All its samples prove together what they promise together."""
    renewed = VERSIONS.replace("multiplier = 4.0", "multiplier = 2.0")
    row = one(standing(changing(6.5, 6.5, (NEW_MS, NEW_MS)), renewed.format(allowance=0)))
    assert (row.versions, row.verdict, row.proof.samples) == ((), Verdict.PASS, 720)


def test_between_two_versions_the_general_class_judges(standing):
    """A contract that paused leaves its path to the class of all, for that time only."""
    paused = VERSIONS.replace("2025-10-09T00:30:00Z", "2025-10-09T00:10:00Z", 1)
    row = one(standing(changing(10, 6.5), paused.format(allowance=0)))
    assert [(v.sla_class.name, v.verdict) for v in row.versions] == [
        ("changing", Verdict.NOT_PROVEN),
        ("standard", Verdict.NOT_PROVEN),
        ("changing", Verdict.PASS),
    ]
    assert row.verdict is Verdict.NOT_PROVEN


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "2 × floor + 5 ms, class standard"),
        (
            '\n[[overrides]]\nsites = ["frankfurt", "amsterdam"]\nmultiplier = 3.5\n',
            "3.5 × floor + 5 ms, class standard; multiplier stated for the sites amsterdam and frankfurt",
        ),
        ('\n[[overrides]]\nnodes = ["ams", "fra"]\nlength_km = 700\n', "2 × floor + 5 ms, class standard"),
    ],
)
def test_a_row_says_what_its_limit_is_made_of(standing, more, words):
    """Multiplier and allowance with the class, or the pair, that states them."""
    assert one(standing(minutes(10), more)).limit_how == words


def test_another_clock_does_not_double_a_path(standing):
    """A probe that could not run has no clock; beside real times its row says nothing more."""
    unrun = window(SeriesKey("ams", "fra", "tcp", Family.IPV4, TimeSource.NONE), values_ns=[], lost=1)
    assert one(standing([*minutes(10), unrun])).time_source is TimeSource.TCP_INFO


def test_the_path_mtu_of_the_period_is_its_smallest(standing):
    """A promise about MTU is held against the worst that was seen."""
    probes = []
    for i, mtu in enumerate((1500.0, 1280.0, 1500.0)):
        each = window(
            SeriesKey("ams", "fra", "mtu", Family.IPV4, TimeSource.NONE), DAY + 600 * i, values_ns=[]
        )
        each.gauges = {"path_mtu_bytes": mtu}
        probes.append(each)
    more = '\n[[classes]]\nname = "big"\npath_mtu_bytes_min = 1400\n[[applications]]\nclass = "big"\nnodes = ["ams", "fra"]\n'
    row = one(standing([*minutes(60), *probes], more))
    (criterion,) = [c for c in row.criteria if c.name == "path_mtu_bytes"]
    assert (criterion.value, criterion.verdict, row.verdict) == (1280, Verdict.FAIL, Verdict.FAIL)


def test_one_path_alone_stands_as_it_does_among_all(standing):
    """The page of a path and the matrix never disagree."""
    windows = [*minutes(30), window(series(destination="nyc"), values_ns=[80 * MS])]
    everything = standing(windows)
    alone = standing(windows, path=("ams", "fra"))
    assert alone.rows == (one(everything),)


@pytest.mark.parametrize(
    ("unit", "sent", "again", "ratio", "verdict"),
    [
        ("bytes", 600_000, 60_000, 0.1, Verdict.FAIL),
        ("bytes", 600_000, 600, 0.001, Verdict.PASS),
        ("segments", 600, 60, 0.1, Verdict.FAIL),
        ("bytes", 1000, 900, None, Verdict.NO_DATA),
    ],
)
def test_retransmits_of_the_paths_own_connections_are_held_against_the_promise(
    standing, unit, sent, again, ratio, verdict
):
    """What the source's kernel sent to the peer and sent again is summed over the period; little traffic proves nothing."""
    counted = []
    for i in range(2):
        each = window(
            SeriesKey("ams", "fra", "sockets", Family.IPV4, TimeSource.NONE), DAY + 60 * i, values_ns=[]
        )
        each.outcomes, each.counters = {}, {f"{unit}_sent": sent, f"{unit}_retransmitted": again}
        counted.append(each)
    more = '\n[[classes]]\nname = "clean"\nretransmit_ratio_max = 0.05\n[[applications]]\nclass = "clean"\nnodes = ["ams", "fra"]\n'
    found = standing([*minutes(60), *counted], more)
    row = one(found)
    (criterion,) = [c for c in row.criteria if c.name == "retransmit_ratio"]
    assert (criterion.value, criterion.verdict) == (ratio, verdict)
    assert {row.probe for row in found.rows} == {"tcp"}
