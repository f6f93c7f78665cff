"""Breaches in a row."""

from agent.wire.series import Family
from collector.incidents.breach import Breach, Kind
from collector.incidents.episodes import Block, episodes_of


def breach(at, score=6.0, *, hint=False, kind=Kind.LATENCY):
    return Breach(at * 300, "fra", "nyc", Family.IPV4, kind, score, "tcp", 0.1, 0.08, hint=hint)


def blocks(*marks):
    """One block for each mark: b breach, h hint, g good, - nobody was heard, m an MTU breach, n no MTU measured."""
    made = []
    for at, mark in enumerate(marks):
        found = {
            "b": (breach(at),),
            "h": (breach(at, 2.0, hint=True),),
            "m": (breach(at, 12.0, kind=Kind.MTU),),
        }
        heard = () if mark == "-" else ("fra",)
        made.append(Block(at * 300, heard, heard if mark in "mg" else (), {}, found.get(mark, ())))
    return made


def spans(*marks, **more):
    return [(e.start_s // 300, e.end_s // 300, e.open) for e in episodes_of(blocks(*marks), **more)]


def test_one_good_block_is_part_of_it_two_end_it():
    """Hysteresis: what comes back at once had not gone."""
    assert spans(*"gbbgbbggg") == [(1, 6, False)]
    assert spans(*"gbbggbbgg") == [(1, 3, False), (5, 7, False)]


def test_it_is_open_until_two_good_blocks_were_seen():
    """The last block alone does not close it."""
    assert spans(*"gbbg") == [(1, 3, True)]
    assert spans(*"gbbgg") == [(1, 3, False)]


def test_silence_is_neither_good_nor_bad_for_two_hours():
    """A source without data keeps its episode for two hours; what comes later is another one."""
    assert spans("b", *"-" * 24, "b", "g", "g") == [(0, 26, False)]
    assert spans("b", *"-" * 25, "b", "g", "g") == [(0, 1, False), (26, 27, False)]


def test_hints_lengthen_an_episode_and_never_begin_it():
    """It starts with the first breach that is none, and lasts while there are hints."""
    assert spans(*"hhbbhhgg") == [(2, 6, False)]
    (whole,) = episodes_of(blocks(*"hhbbhhgg"))
    assert (whole.score, whole.support) == (12, 20)


def test_sure_and_telling_are_a_matter_of_the_sum():
    """Two breaches are an incident, one is not, and hints alone never are."""
    assert [e.sure for e in episodes_of(blocks(*"bb"))] == [True]
    assert [(e.sure, e.telling) for e in episodes_of(blocks(*"b"))] == [(False, True)]
    assert [(e.sure, e.telling) for e in episodes_of(blocks(*"hhhhhhhh"))] == [(False, True)]
    assert [(e.sure, e.telling) for e in episodes_of(blocks(*"hh"))] == [(False, False)]


def test_an_mtu_is_good_again_only_when_measured():
    """Blocks in which the source measured no MTU do not end it; how many must is the caller's word."""
    assert spans(*"mnnnnmgg") == [(0, 6, False)]
    assert spans(*"mggmgg", good_blocks=lambda _pair, _kind: 3) == [(0, 4, True)]


def test_two_families_of_one_path_are_one_episode_and_count_once():
    """IPv4 and IPv6 that break together are one path's trouble."""
    both = [
        Block(at * 300, ("fra",), (), {}, (breach(at), Breach(at * 300, "fra", "nyc", Family.IPV6, Kind.LATENCY, 5.0, "tcp", 0.1, 0.08)))
        for at in range(2)
    ]  # fmt: skip
    (one,) = episodes_of(both)
    assert (one.score, len(one.breaches)) == (12, 4)


def test_nothing_gives_nothing():
    """No blocks, no episodes."""
    assert episodes_of([]) == []
