import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.mtr import parse_mtr
from agent.kernel.parse_error import ParseError

CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
HUB = {
    "count": "1",
    "host": "192.0.2.1",
    "ASN": "AS64500",
    "Loss%": "25.00",
    "Snt": "4",
    "Last": "0.5",
    "Avg": "0.6",
    "Best": "0.4",
    "Wrst": "0.9",
    "StDev": "0.2",
}


def report(*hubs):
    return json.dumps(
        {"report": {"mtr": {"src": "a", "dst": "b", "tests": "4", "psize": "64"}, "hubs": hubs}}
    ).encode()


def test_numbers_in_strings_become_seconds_and_ratios():
    """mtr 0.87 prints every number as a string, in ms and per cent."""
    read = parse_mtr(report(HUB))
    assert (read.destination, read.tests, read.packet_bytes) == ("b", 4, 64)
    (hop,) = read.hops
    assert (hop.number, hop.host, hop.as_number, hop.sent, hop.loss_ratio) == (
        1,
        "192.0.2.1",
        "AS64500",
        4,
        0.25,
    )
    assert (hop.rtt_min_seconds, hop.rtt_mean_seconds, hop.rtt_max_seconds) == (0.0004, 0.0006, 0.0009)


def test_a_silent_hop_has_no_times():
    """mtr's zeros for a hop that never answered are unknown, not 0 ms."""
    (hop,) = parse_mtr(
        report(HUB | {"host": "???", "ASN": "AS???", "Loss%": 100.0, "Last": 0.0, "Best": 0.0})
    ).hops
    assert (hop.host, hop.as_number, hop.rtt_min_seconds, hop.rtt_last_seconds, hop.loss_ratio) == (
        None,
    ) * 4 + (1,)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON; run mtr --json"),
        (b"Start: 2024-01-01\nHOST: a  Loss%", "no JSON; run mtr --json"),
        (b'{"report"', "not JSON"),
        (b"{" * 100_000, "not JSON"),
        (b"{}", "no hop"),
        (report(), "no hop"),
        (report(HUB | {"count": 0}), r"hubs\[0\].count: a TTL"),
        (report(HUB | {"Loss%": 101}), "a percentage"),
        (report(HUB | {"Avg": "fast"}), r"hubs\[0\].Avg: a number was expected: 'fast'"),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(data, reason):
    """The path of the value and what was expected there."""
    with pytest.raises(ParseError, match=reason):
        parse_mtr(data)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.dictionaries(
            st.sampled_from(list(HUB)),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=4)
            | st.lists(st.none(), max_size=1),
        ).map(lambda part: report(HUB | part)),
    )
)
def test_any_bytes_give_a_report_or_a_parse_error(data):
    """No input makes another exception."""
    with contextlib.suppress(ParseError):
        json.dumps(inspect("mtr", data))


@pytest.mark.corpus
def test_the_real_report_is_read():
    """A silent hop, and counts as number and as string."""
    path = CORPUS / "6-path/mtr_0.95_json_trimmed_real.json"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    read = parse_mtr(path.read_bytes())
    assert [(hop.number, hop.host, hop.rtt_min_seconds) for hop in read.hops] == [
        (1, "192.168.1.1", 0.0004),
        (2, None, None),
        (3, "1.1.1.1", 0.009),
    ]
