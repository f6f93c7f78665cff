"""Which paths are due, in fair order, also after a restart."""

from collector.plan.progress import RETRY_SECONDS, LeaseRecord, Progress

WEEK = 7 * 86400.0
PAIRS = [("a", "b"), ("b", "a"), ("a", "c")]
NOW = 1_800_000_000


def lease(lease_id, client, server, at_s=NOW, outcome=None, size=100):
    return LeaseRecord(lease_id, "iperf3", client, server, at_s, outcome, None, size)


def test_paths_never_tested_come_in_the_plan_s_order():
    """Of each kind by itself."""
    progress = Progress()
    progress.remember(lease("1", "a", "b", outcome="ok"), WEEK)
    assert progress.due(PAIRS, "iperf3", NOW + 1) == PAIRS[1:]
    assert progress.due(PAIRS, "qperf", NOW + 1) == PAIRS


def test_a_finished_test_waits_an_interval_and_any_other_is_tried_again_sooner():
    """A refusal must not cost the path its week."""
    progress = Progress()
    progress.remember(lease("1", "a", "b"), WEEK)
    progress.remember(lease("2", "b", "a"), WEEK)
    progress.settle("1", "ok", 50, WEEK)
    progress.settle("2", "refused", 0, WEEK)
    soon = NOW + int(RETRY_SECONDS)
    assert progress.due(PAIRS[:2], "iperf3", soon - 1) == []
    assert progress.due(PAIRS[:2], "iperf3", soon) == [("b", "a")]
    assert progress.due(PAIRS[:2], "iperf3", NOW + int(WEEK)) == [("b", "a"), ("a", "b")]
    assert progress.is_due(("b", "a"), "iperf3", soon)


def test_bytes_are_reserved_at_once_and_settled_to_what_was_moved():
    """On both ends; what a restart finds in the store counts the same."""
    progress = Progress()
    progress.remember(lease("1", "a", "b"), WEEK)
    assert progress.usage.used("a", NOW)[0] == progress.usage.used("b", NOW)[0] == 100
    progress.settle("1", "ok", 40, WEEK)
    again = Progress()
    again.remember(lease("1", "a", "b", outcome="ok", size=40), WEEK)
    for each in (progress, again):
        assert each.usage.used("a", NOW) == each.usage.used("b", NOW) == (40, 40)
