"""Batches and windows for tests: built by hand or at random, always valid on the wire."""

import random

from agent.wire.batch import SCHEMA, Batch, Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource

BOOT = "0123456789abcdef" * 2
DAY = 1_760_000_000 // 86400 * 86400
"""Midnight of some day in October 2025."""
MS = 1_000_000


def series(source="ams", destination="fra", probe="tcp", family=Family.IPV4):
    return SeriesKey(source, destination, probe, family, TimeSource.TCP_INFO)


def window(key=None, start_s=DAY, values_ns=(8 * MS,), limit_ns=None, quality=None, length_s=60, lost=0):
    """A window with these times, so many timeouts beside them, judged by the limit where there is one."""
    values = list(values_ns)
    outcomes = {Outcome.OK: len(values), Outcome.TIMEOUT: lost}
    return Window(
        series=key or series(),
        start_s=start_s,
        length_s=length_s,
        outcomes={outcome: count for outcome, count in outcomes.items() if count},
        rtt=Histogram.of(values),
        limit_ns=limit_ns,
        judged=len(values) if limit_ns is not None else 0,
        over_limit=sum(value > limit_ns for value in values) if limit_ns is not None else 0,
        quality=quality or {},
    )


def batch(windows=(), sequence=0, node="ams", boot=BOOT, facts=(), events=()):
    return Batch(
        schema=SCHEMA,
        node=node,
        boot=boot,
        sequence=sequence,
        windows=list(windows),
        facts=list(facts),
        events=list(events),
    )


def random_window(rng: random.Random, key: SeriesKey, start_s: int) -> Window:
    """Some samples around 10 ms with a heavy tail, losses, a limit that changes, now and then a spoiled minute."""
    values = [int(10 * MS * rng.paretovariate(5)) for _ in range(rng.randrange(7))]
    limit_ns = rng.choice((None, 12 * MS, 12 * MS, 15 * MS))
    quality = {"steal_ratio": round(rng.random(), 3)} if rng.random() < 0.1 else {}
    return window(key, start_s, values, limit_ns, quality, lost=rng.randrange(3))
