"""Every cause and kind has its words in both languages."""

import pytest

from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import Kind
from collector.incidents.incident import Incident
from collector.incidents.words import CAUSES, KINDS, also_words, cause_words, in_a_line


def incident(kind, **figures):
    return Incident(
        id="x", kind=kind, cause=Cause(CauseKind.NODE, "fra", "in", ("site alder at fra",)), start_s=0, end_s=None, last_s=300,
        paths=(), broken_paths=7, measured_paths=9, sources_seeing=7, sources_measuring=9, **figures,
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_without_words(language):
    """A new cause or kind cannot be forgotten in one of the languages."""
    assert CAUSES[language].keys() == set(CauseKind)
    assert KINDS[language].keys() == set(Kind)


@pytest.mark.parametrize(
    ("kind", "figures", "english", "chinese"),
    [
        (Kind.LATENCY, {"excess_seconds": 0.0439}, "slow, +43.9 ms", "变慢，+43.9 ms"),
        (Kind.LOSS, {"loss_ratio": 0.205}, "loss, 20.5% lost", "丢包，20.5%"),
        (Kind.LOSS, {"loss_ratio": 1.0}, "loss, no answer", "丢包，无应答"),
        (
            Kind.MTU,
            {"path_mtu_bytes": 1400, "usual_path_mtu_bytes": 1500},
            "MTU drop, 1400 bytes, usually 1500",
            "MTU 变小，1400 字节，平时 1500",
        ),
    ],
)
def test_a_line_says_what_where_and_who_saw_it(kind, figures, english, chinese):
    """Cause, figure and corroboration."""
    each = incident(kind, **figures)
    assert in_a_line(each) == f"node fra, inbound: {english}; 7 of 9 paths, seen by 7 of 9 sources"
    assert in_a_line(each, "zh") == f"节点 fra，入向：{chinese}；9 条路径中 7 条，9 个测量点中 7 个看到"


def test_what_cannot_be_told_apart_is_said_in_the_readers_words():
    """Not in the program's."""
    cause = Cause(CauseKind.NODE, "fra", None, ("site alder at fra", "region_pair eu – us"))
    assert cause_words(cause) == "node fra"
    assert also_words(cause) == "site alder at fra, regions eu – us"
    assert also_words(cause, "zh") == "机房 alder at fra，地区之间 eu – us"
