"""What comes back at the same hours."""

from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import Kind
from collector.incidents.incident import Incident, Occurrence
from collector.incidents.recurrence import with_recurring

HOUR, DAY = 3600, 86400


def incident(day, hour, hours=2.0, name="birch", *, is_open=False):
    start_s = 20_000 * DAY + day * DAY + int(hour * HOUR)
    end_s = start_s + int(hours * HOUR)
    ending = None if is_open else end_s
    label = f"latency-{day}-{hour}-{name}"
    return Incident(
        id=label, kind=Kind.LATENCY, cause=Cause(CauseKind.PROVIDER, name), start_s=start_s, end_s=ending,
        last_s=end_s, paths=(), broken_paths=10 + day, measured_paths=40, sources_seeing=5, sources_measuring=5,
        occurrences=(Occurrence(label, start_s, ending),),
    )  # fmt: skip


def test_a_month_of_evenings_is_one_incident():
    """Named by the first, ended with the last, with every evening as an occurrence and the worst one's figures."""
    evenings = [incident(day, 18 + day % 3) for day in range(30)]
    (one,) = with_recurring(evenings)
    assert one.recurring
    assert (one.id, one.start_s, one.end_s) == (evenings[0].id, evenings[0].start_s, evenings[-1].end_s)
    assert [each.id for each in one.occurrences] == [each.id for each in evenings]
    assert one.broken_paths == 39


def test_two_evenings_are_two_incidents():
    """Twice is a coincidence."""
    assert len(with_recurring([incident(day, 19) for day in range(2)])) == 2


def test_another_hour_another_cause_or_a_long_pause_is_another_incident():
    """Only the same trouble at the same time of day comes back."""
    evenings = [incident(day, 19) for day in range(4)]
    others = [incident(2, 8), incident(1, 19, name="alder")]
    found = with_recurring([*evenings, *others, incident(20, 19)])
    assert sorted(len(each.occurrences) for each in found) == [1, 1, 1, 4]


def test_midnight_is_no_border():
    """23:30 and 00:30 are an hour apart."""
    found = with_recurring([incident(0, 23.5), incident(2, 0.5), incident(2, 23.6), incident(4, 0.2)])
    assert [len(each.occurrences) for each in found] == [4]


def test_what_lasts_half_a_day_has_no_hour():
    """Three outages of a day each are three."""
    assert len(with_recurring([incident(day * 2, 3, hours=20) for day in range(3)])) == 3


def test_it_lasts_while_its_latest_occurrence_does():
    """An evening that is not over keeps the whole open."""
    (one,) = with_recurring([incident(0, 19), incident(1, 19), incident(2, 19, is_open=True)])
    assert one.end_s is None
