"""The contract between agent and collector, held from both sides by golden files."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.batch import SCHEMA, Batch, Event, Fact, Window, WireError, decode, encode, node_of
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BOOT = "0123456789abcdef0123456789abcdef"
TCP = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)
MTU = SeriesKey("fra", "nyc", "mtu", Family.IPV6, TimeSource.NONE)


def window_of_schema_1():
    return Window(
        series=TCP,
        start_s=1_800_000_000,
        length_s=60,
        outcomes={Outcome.OK: 3, Outcome.TIMEOUT: 1, Outcome.SYN_RETRANSMITTED: 2},
        rtt=Histogram.of([80_000_000, 81_500_000, 240_000_000]),
        limit_ns=160_000_000,
        judged=3,
        over_limit=1,
        quality={"steal_ratio": 0.25, "clock_step_seconds": -3600.0},
    )


GOLDEN_BATCHES = {
    "batch_v1.json": Batch(
        schema=1,
        node="fra",
        boot=BOOT,
        sequence=41,
        windows=[window_of_schema_1()],
        facts=[
            Fact("kernel_release", "6.1.0-18-amd64", "proc/sys/kernel/osrelease", 1_800_000_001),
            Fact("nic_driver", None, "ethtool eth0", 1_800_000_001, "no permission"),
        ],
    ),
    "batch_v2.json": Batch(
        schema=2,
        node="fra",
        boot=BOOT,
        sequence=42,
        windows=[
            window_of_schema_1(),
            Window(
                series=MTU,
                start_s=1_800_000_000,
                length_s=60,
                outcomes={Outcome.OK: 1},
                times={"search": Histogram.of([362_000_000])},
                counters={"probes_sent": 49},
                gauges={"path_mtu_bytes": 1420.0, "black_hole": 1.0},
            ),
        ],
        facts=[Fact("cpu_count", 2, "proc/cpuinfo", 1_800_000_001)],
        events=[
            Event(1_800_000_030, "mtu_step", {"from_bytes": 1500, "to_bytes": 1420}, "nyc", Family.IPV6),
            Event(1_800_000_031, "boot", {"reason": None}),
        ],
    ),
}


@pytest.mark.parametrize("name", GOLDEN_BATCHES)
def test_golden_batch_reads_as_ever(name):
    """A batch of this schema, stored years ago, still means the same: change the schema, not the file."""
    assert decode((GOLDEN / name).read_bytes()) == GOLDEN_BATCHES[name]


def test_the_agent_still_writes_the_golden_batch():
    """Byte for byte what a collector of the same schema was tested with."""
    written = encode(GOLDEN_BATCHES[f"batch_v{SCHEMA}.json"])
    assert json.loads(written) == json.loads((GOLDEN / f"batch_v{SCHEMA}.json").read_bytes())


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, -1, 10**30])
def test_other_schemas_are_refused_by_number(schema):
    """A collector says which schemas it reads, before it complains about anything inside."""
    body = json.dumps({"schema": schema, "brand": "new"}).encode()
    with pytest.raises(WireError, match=f"reads {SCHEMA - 1} and {SCHEMA}|integer|range"):
        decode(body)


def changed(**changes):
    document = json.loads(encode(GOLDEN_BATCHES["batch_v2.json"]))
    return json.dumps(document | changes).encode()


def test_a_node_writes_only_as_itself():
    """A batch with another node's windows is refused, and the error names that node."""
    with pytest.raises(WireError, match="batch of nyc holds windows of fra"):
        decode(changed(node="nyc"))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"boot": "short"}, r"\$\.boot"),
        ({"sequence": -1}, r"\$\.sequence"),
        ({"sequence": 1.5}, r"\$\.sequence"),
        ({"node": "a b"}, r"\$\.node"),
        ({"nodes": 1}, "unknown field `nodes`"),
        ({"windows": {}}, r"\$\.windows"),
        ({"windows": [{}]}, r"\$\.windows\[0\]"),
        ({"events": [{"time_s": 1, "kind": "x"}]}, "required field `detail`"),
    ],
)
def test_refusal_names_the_key(change, place):
    """What is wrong can be found in the batch."""
    with pytest.raises(WireError, match=place):
        decode(changed(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"over_limit": 4},
        {"judged": 4},
        {"outcomes": {"ok": 1}},
        {"outcomes": {"fine": 3}},
        {"length_s": 0},
        {"start_s": -60},
        {"gauges": {"mtu": None}},
        {"rtt": {"count": 1}},
    ],
    ids=str,
)
def test_contradictory_windows_are_refused(change):
    """More judged than measured, more measured than sent, unknown outcomes: nothing of it reaches the store."""
    document = json.loads(encode(GOLDEN_BATCHES["batch_v2.json"]))
    document["windows"][0] |= change
    with pytest.raises(WireError):
        decode(json.dumps(document).encode())


def assert_batch_or_wire_error(body):
    with suppress(WireError):
        assert isinstance(decode(body), Batch)


@given(st.binary(max_size=300))
def test_any_bytes_name_a_node_or_none(body):
    """Whose batch it is can be asked of a damaged file too."""
    assert node_of(body) is None
    assert node_of(b'{"windows": 7, "node": "fra"}') == "fra"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_a_wire_error(body):
    """Nothing that arrives can raise anything else."""
    assert_batch_or_wire_error(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)


@given(st.data())
def test_any_change_of_a_good_batch_is_a_batch_or_a_wire_error(data):
    """The same for batches that are wrong in one place only, which get furthest."""
    document = json.loads(encode(GOLDEN_BATCHES["batch_v2.json"]))
    here = document
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(here[key], dict | list) and data.draw(st.booleans()):
            here = here[key]
            continue
        here[key] = data.draw(JSON)
        break
    assert_batch_or_wire_error(json.dumps(document).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "deep", [b'{"a":' * 100_000, b"[" * 100_000, b'{"schema":2,"facts":' + b"[" * 100_000]
)
def test_deep_nesting_is_a_wire_error(deep):
    """A bomb of brackets is refused, not a crash."""
    with pytest.raises(WireError):
        decode(deep)
