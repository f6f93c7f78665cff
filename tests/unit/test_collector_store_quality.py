from collector.store.quality import add_flags, decode_flags, encode_flags, merge_same_minute


def test_a_minute_flagged_twice_counts_once_with_its_worst_figure():
    """Two windows of one minute do not make it two spoiled minutes, and a clock set back far is worse than forward a little."""
    one = encode_flags({"clock_step_seconds": (0.5, 1), "steal_ratio": (0.2, 1)})
    other = encode_flags({"clock_step_seconds": (-3600.0, 1)})
    for merged in (merge_same_minute(one, other), merge_same_minute(other, one)):
        assert decode_flags(merged) == {"clock_step_seconds": (-3600.0, 1), "steal_ratio": (0.2, 1)}


def test_minutes_of_different_stretches_add_up():
    """Over an hour each flag knows its worst figure and how many minutes carried it."""
    total = {"steal_ratio": (0.2, 3)}
    add_flags(total, {"steal_ratio": (0.1, 2), "throttled_seconds": (4.0, 1)})
    assert total == {"steal_ratio": (0.2, 5), "throttled_seconds": (4.0, 1)}


def test_a_clean_row_stores_nothing():
    """No flags are NULL in the file, and NULL is no flags."""
    assert encode_flags({}) is None
    assert decode_flags(None) == {}
    assert merge_same_minute(None, None) is None
