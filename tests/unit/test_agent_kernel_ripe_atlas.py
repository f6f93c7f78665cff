import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.parse_error import ParseError
from agent.kernel.ripe_atlas import parse_results

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
PING = {
    "type": "ping",
    "msm_id": 1,
    "prb_id": 2,
    "timestamp": 3,
    "dst_addr": "192.0.2.1",
    "sent": "3",
    "rcvd": "1",
    "dup": "0",
    "min": 5,
    "avg": "6.5",
    "max": -1,
}
TRACE = {"type": "traceroute", "dst_addr": "2001:db8::1", "dst_name": "2001:db8:0:0:0:0:0:1", "size": 40}


def lines(*records):
    return "\n".join(map(json.dumps, records)).encode()


def test_a_ping_becomes_what_ping_prints():
    """Numbers as strings, -1 for none, x for a lost packet, an error in its place."""
    entries = [{"x": "*"}, {"rtt": 6.5, "ttl": 54}, {"rtt": 7, "dup": 1}, {"error": "connect failed"}]
    (result,) = parse_results(lines(PING | {"result": entries}))
    run = result.ping
    assert run is not None
    assert (result.measurement, result.probe, result.unix_seconds, result.error) == (
        1,
        2,
        3,
        "connect failed",
    )
    assert (run.sent, run.received, run.rtt_min_seconds, run.rtt_mean_seconds, run.rtt_max_seconds) == (
        3,
        1,
        0.005,
        0.0065,
        None,
    )
    assert [(echo.rtt_seconds, echo.duplicate) for echo in run.echoes] == [
        (None, False),
        (0.0065, False),
        (0.007, True),
        (None, False),
    ]


def test_a_traceroute_becomes_a_route():
    """Silent probes, an error letter, late answers left out, the target known in any spelling."""
    hops = [
        {
            "hop": 1,
            "result": [
                {"x": "*"},
                {"from": "2001:db8::f", "rtt": 1.5, "err": "H"},
                {"late": 2, "from": "2001:db8::e"},
            ],
        },
        {"hop": 2, "result": [{"from": "2001:db8:0::1", "rtt": 2}]},
    ]
    (result,) = parse_results(lines(TRACE | {"result": hops}))
    route = result.route
    assert route is not None
    assert [(r.address, r.rtt_seconds, r.annotations) for r in route.hops[0].replies] == [
        (None, None, ()),
        ("2001:db8::f", 0.0015, ("!H",)),
    ]
    assert route.reached is True
    (failed,) = parse_results(lines(TRACE | {"result": [{"error": "connect failed", "hop": 1}]}))
    assert failed.error == "connect failed"
    assert failed.route is not None
    assert (failed.route.hops, failed.route.reached) == ((), False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no result"),
        (b"[]", "line 1: a JSON object"),
        (lines(PING) + b"\n{", "line 2: not JSON"),
        (lines(PING | {"type": "dns"}), "ping or traceroute was expected"),
        (lines({"type": "ping"}), "dst_name: missing"),
        (lines(PING | {"rcvd": 4}), "4 of 3"),
        (lines(TRACE | {"result": [{"hop": 0}]}), "a TTL"),
        (lines(TRACE | {"result": [{"hop": 1, "result": [{"from": "x"}]}]}), "an IP address"),
    ],
)
def test_what_is_no_result_is_refused_with_its_line(data, reason):
    """The line, the key, and what was expected."""
    with pytest.raises(ParseError, match=reason):
        parse_results(data)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda v: (
        st.lists(v, max_size=2)
        | st.dictionaries(st.sampled_from(["hop", "result", "from", "rtt", "error", "late"]), v, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.tuples(
            st.sampled_from([PING, TRACE]),
            st.dictionaries(st.sampled_from([*PING, "result"]), VALUE, max_size=3),
        ).map(lambda p: lines(p[0] | p[1])),
    )
)
def test_any_bytes_give_results_or_a_parse_error(data):
    """No input makes another exception."""
    with contextlib.suppress(ParseError):
        json.dumps(inspect("ripe-atlas", data))


@pytest.mark.corpus
def test_every_real_result_is_read():
    """Ten pings and thirteen routes, firmware 0 to 4720."""
    folder = CORPUS / "6-path"
    if not folder.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    pings = parse_results((folder / "ripe_atlas_ping_shared.jsonl").read_bytes())
    routes = parse_results((folder / "ripe_atlas_traceroute_shared.jsonl").read_bytes())
    assert (len(pings), len(routes)) == (10, 13)
    assert pings[0].ping is not None
    assert pings[0].ping.rtt_mean_seconds == 0.058042
    assert pings[9].ping is not None
    assert (pings[9].ping.rtt_mean_seconds, pings[9].ping.loss_ratio) == (None, 1)
    assert [result.error for result in routes if result.error] == ["connect failed: Network is unreachable"]
