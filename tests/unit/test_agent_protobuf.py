"""The protobuf page says what the text page says, and carries the wire's own buckets."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.exposition import DELAY, RTT, Exposition
from agent.ledger import Ledger
from agent.protobuf import delimited, is_preferred
from agent.sample import Sample
from agent.wire.histogram import HIGHEST_INDEX, LOWEST_INDEX, Histogram, bucket_upper_seconds
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

MS = 1_000_000
SERIES = SeriesKey("fra", "nyc", "tcp", Family.IPV4, TimeSource.TCP_INFO)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """[(number, value)] of one message: integers as they are, doubles, and bytes; written from the encoding's page."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            (value,), at = struct.unpack_from("<d", data, at), at + 8
        else:
            assert key & 7 == 2
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
            assert len(value) == length
        found.append((key >> 3, value))
    return found


def families(page):
    """Messages of a delimited page, each as fields."""
    at = 0
    while at < len(page):
        length, at = varint(page, at)
        yield fields(page[at : at + length])
        at += length


def one(message, number, default=None):
    return next((value for key, value in message if key == number), default)


def unzigzag(value):
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def labels_of(metric):
    pairs = [fields(value) for number, value in metric if number == 1]
    return {one(pair, 1).decode(): one(pair, 2).decode() for pair in pairs}


def native_of(histogram):
    """Prometheus' bucket index → count, or None where the message is no native histogram."""
    if one(histogram, 5) is None:
        return None
    packed, deltas, at = one(histogram, 13, b""), [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        deltas.append(unzigzag(value))
    found, index, count = {}, 0, 0
    for span in (fields(value) for number, value in histogram if number == 12):
        index += unzigzag(one(span, 1))
        for _ in range(one(span, 2)):
            count += deltas.pop(0)
            found[index] = count
            index += 1
    assert not deltas
    return found


def samples_of(page):
    """(name, labels) → value of the whole protobuf page, in the text format's terms."""
    found = {}
    for family in families(page):
        name, kind = one(family, 1).decode(), one(family, 3)
        for metric in (fields(value) for number, value in family if number == 4):
            own = labels_of(metric)
            if kind != 4:
                number = {0: 3, 1: 2, 3: 5}[kind]
                found[name, frozenset(own.items())] = one(fields(one(metric, number)), 1)
                continue
            histogram = fields(one(metric, 7))
            found[f"{name}_count", frozenset(own.items())] = one(histogram, 1)
            found[f"{name}_sum", frozenset(own.items())] = one(histogram, 2)
            for bucket in (fields(value) for number, value in histogram if number == 3):
                bound = one(bucket, 2)
                where = own | {"le": "+Inf" if bound == float("inf") else repr(bound)}
                found[f"{name}_bucket", frozenset(where.items())] = one(bucket, 1)
    return found


def test_both_pages_say_the_same():
    """Every sample of the text page, as prometheus-client reads it, is in the protobuf page and no other."""
    ledger = Ledger()
    ledger.expect(SERIES)
    for time_ns in (100_000, 80 * MS, 81 * MS, 3000 * MS):
        ledger.record(SERIES, Sample(Outcome.OK, time_ns), 121 * MS)
    delays = Histogram.of([300_000])
    text = Exposition().render(ledger.totals, (), delays, openmetrics=False).decode()
    text += '# HELP odd A \\\\ and\\na line.\n# TYPE odd gauge\nodd{a="x y\\"}{",b="\\\\\\n"} NaN\n'
    text += "# HELP none Nothing.\n# TYPE none counter\n"
    expected = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }
    page = delimited(text, Exposition.buckets(ledger.totals, delays))
    found = samples_of(page)
    assert found.keys() == expected.keys()
    assert all(
        found[key] == pytest.approx(value, rel=0, abs=0, nan_ok=True) for key, value in expected.items()
    )
    assert "A \\ and\na line." in [one(family, 2).decode() for family in families(page)]
    assert "none" not in [one(family, 1).decode() for family in families(page)]


DELIMITED = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2 = (
    f"{DELIMITED},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    f"{DELIMITED};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1"
)
"""What these send with native histograms on."""

HISTOGRAMS = st.lists(st.integers(0, 2**15 * 10**9), max_size=60).map(Histogram.of)


@given(HISTOGRAMS)
def test_the_native_buckets_are_the_wires_own(histogram):
    """Prometheus' bucket i at schema 5 ends at 2**(i/32): each holds what the wire's bucket of that bound holds."""
    text = Exposition().render({}, (), histogram, openmetrics=False).decode()
    page = delimited(text, Exposition.buckets({}, histogram))
    (family,) = (each for each in families(page) if one(each, 1).decode() == DELAY.name)
    message = fields(one(fields(one(family, 4)), 7))
    assert unzigzag(one(message, 5)) == 5
    assert one(message, 6) > 0
    found = native_of(message)
    assert {2 ** (index / 32): count for index, count in found.items()} == pytest.approx(
        {bucket_upper_seconds(index): count for index, count in histogram.buckets.items()}
    )
    assert sum(found.values()) == one(message, 1) == histogram.count


def test_the_ends_of_the_layout_fit():
    """The lowest and the highest bucket of the wire, far apart, are two spans."""
    buckets = {LOWEST_INDEX: 3, HIGHEST_INDEX: 2**40}
    text = '# HELP h H.\n# TYPE h histogram\nh_bucket{le="+Inf"} 4\nh_count 4\nh_sum 1.0\n'
    (family,) = families(delimited(text, {("h", ""): buckets}))
    assert native_of(fields(one(fields(one(family, 4)), 7))) == {
        LOWEST_INDEX + 1: 3,
        HIGHEST_INDEX + 1: 2**40,
    }


def test_a_histogram_of_another_layout_stays_classic():
    """Without buckets of the wire nothing is made up."""
    text = (
        '# HELP h H.\n# TYPE h histogram\nh_bucket{a="1",le="+Inf"} 4\nh_count{a="1"} 4\nh_sum{a="1"} 1.0\n'
    )
    (family,) = families(delimited(text, {}))
    assert native_of(fields(one(fields(one(family, 4)), 7))) is None


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        (f"text/plain,{DELIMITED};q=0.5", False),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", False),
        (f"{DELIMITED};q=0", False),
        (f"{DELIMITED};q=x", False),
        ("*/*", False),
        ("", False),
    ],
)  # fmt: skip
def test_protobuf_is_sent_to_those_who_want_it_most(accept, preferred):
    """Whoever ranks text higher, or does not name the delimited encoding, gets text."""
    assert is_preferred(accept) is preferred


@given(st.text())
def test_any_accept_header_is_yes_or_no(accept):
    """Nothing that a client sends there is an error."""
    assert is_preferred(accept) in (True, False)


def test_a_templates_key_is_the_one_on_the_page():
    """The labels under which buckets are looked up are those of the text, also for odd names."""
    odd = SeriesKey("fra", "[a]:1", "tcp", Family.IPV6, TimeSource.TCP_INFO)
    ledger = Ledger()
    ledger.expect(odd)
    ledger.record(odd, Sample(Outcome.OK, MS), None)
    text = Exposition().render(ledger.totals, (), Histogram(), openmetrics=False).decode()
    shown = re.findall(rf"^{RTT.name}_count{{(.*)}} ", text, re.MULTILINE)
    assert shown
    assert {(RTT.name, labels) for labels in shown} <= Exposition.buckets(ledger.totals, Histogram()).keys()
