"""A plausible month of a mesh in a store: hourly windows with a daily rhythm, slow evenings, losses and a spoiled day."""

import math
import random
from datetime import UTC, datetime

from agent.wire.batch import SCHEMA, Batch, Window
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from collector.store import rollup
from collector.store.batches import BatchStore
from collector.store.schema import open_writer

HOUR_S, DAY_S = 3600, 86400
PER_HOUR = 40


def fleet_text(nodes, providers, sites):
    """nodes: name → (provider, site); sites: name → (region, latitude, longitude)."""
    parts = [f'[[providers]]\nname = "{name}"\ncontact = "noc@{name}.example"\n' for name in providers]
    parts += [
        f'[[sites]]\nname = "{name}"\nregion = "{region}"\nlatitude = {latitude}\nlongitude = {longitude}\n'
        for name, (region, latitude, longitude) in sites.items()
    ]
    parts += [
        f'[[nodes]]\nname = "{name}"\nprovider = "{provider}"\nsite = "{site}"\nipv4 = "192.0.2.{at}"\n'
        for at, (name, (provider, site)) in enumerate(nodes.items(), 1)
    ]
    return "\n".join([*parts, '[[groups]]\nname = "all"\nprobes = [{ kind = "tcp" }]\n'])


def write_history(path, fleet, start_s, days, *, faults=None, seed=1):
    """Fill the store for every pair of the fleet: one minute row each hour, with an hour's samples.

    faults: (source, destination, hour of the month) → (factor on the round trip, loss ratio, quality flags), or None.
    """
    dice = random.Random(seed)
    connection = open_writer(path)
    sink, now_s = BatchStore(), start_s + days * DAY_S + DAY_S
    pairs = [(a, b) for a in fleet.nodes for b in fleet.nodes if a != b]
    bases = {pair: fleet.floor(*pair).floor_seconds * dice.uniform(1.3, 1.8) + 0.0004 for pair in pairs}
    for day in range(days):
        for source in fleet.nodes:
            windows = [
                _hour(fleet, pair, bases[pair], start_s, day * 24 + hour, faults, dice)
                for pair in pairs
                if pair[0] == source
                for hour in range(24)
            ]
            sink.store(connection, Batch(SCHEMA, source, "0" * 32, day, [w for w in windows if w]), now_s)
    while units := rollup.due_units(connection, now_s):
        for unit in units:
            rollup.roll_up(connection, unit)
    connection.close()


def _hour(fleet, pair, base_seconds, start_s, hour, faults, dice):
    factor, loss, quality = (faults and faults(*pair, hour)) or (1.0, 0.0005, {})
    if factor is None:
        return None
    evening = 0.02 * max(0.0, math.sin((hour % 24 - 14) / 8 * math.pi)) if hour % 24 > 14 else 0.0
    sla, floor = fleet.sla(*pair, datetime.fromtimestamp(start_s, UTC)), fleet.floor(*pair)
    limit_ns = round((sla.multiplier * floor.floor_seconds + sla.allowance_ms / 1e3) * 1e9)
    lost = sum(dice.random() < loss for _ in range(PER_HOUR))
    values = [
        round(base_seconds * factor * (1 + evening + 0.02 * dice.expovariate(1)) * 1e9)
        for _ in range(PER_HOUR - lost)
    ]
    rtt, over = Histogram.of(values), sum(value > limit_ns for value in values)
    series = SeriesKey(*pair, "tcp", Family.IPV4, TimeSource.TCP_INFO)
    outcomes = {Outcome.OK: rtt.count} | ({Outcome.TIMEOUT: lost} if lost else {})
    return Window(
        series, start_s + hour * HOUR_S, 60, outcomes, rtt, limit_ns, rtt.count, over, quality=quality
    )
