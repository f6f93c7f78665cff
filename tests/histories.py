"""Plausible histories of a mesh in a store: a month in hourly windows, or hours in minutes with faults of single ways."""

import math
import random
from dataclasses import dataclass
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
            connection.execute("BEGIN")
            sink.store(connection, Batch(SCHEMA, source, "0" * 32, day, [w for w in windows if w]), now_s)
            connection.execute("COMMIT")
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


@dataclass(frozen=True)
class Way:
    """What one direction does to packets in one minute: more delay, loss, a smaller MTU."""

    extra_ms: float = 0.0
    loss: float = 0.0
    mtu: int = 1500


def write_minutes(
    path, fleet, start_s, minutes, *, ways=None, quality=None, seed=1, interval_s=10, directions=False
):
    """Fill the store minute by minute with what tcp (and mtu) probes would see of each direction's faults.

    minutes: numbers of minutes since start_s. ways: (source, destination, minute) → Way of that direction, or None;
    a round trip suffers from both. quality: (node, minute) → the node's quality flags, or None; a silent minute is
    False. directions: udp probes too, which know in which direction a packet was lost.
    """
    minutes, dice = list(minutes), random.Random(seed)
    connection = open_writer(path)
    sink, now_s = BatchStore(), start_s + minutes[-1] * 60 + DAY_S
    pairs = list(fleet.pairs)
    base = random.Random("bases")
    bases = {
        pair: fleet.floor(*pair).floor_seconds * base.uniform(1.2, 1.6) + 0.0005
        for pair in sorted({min(pair, pair[::-1]) for pair in pairs})
    }
    for source in fleet.nodes:
        windows = []
        for minute in minutes:
            flags = quality(source, minute) if quality else None
            if flags is False:
                continue
            for pair in (pair for pair in pairs if pair[0] == source):
                there, back = ((ways and ways(*way, minute)) or Way() for way in (pair, pair[::-1]))
                windows += _minute(
                    fleet,
                    pair,
                    bases[min(pair, pair[::-1])],
                    (there, back),
                    start_s + minute * 60,
                    flags or {},
                    interval_s,
                    directions,
                    dice,
                )
        connection.execute("BEGIN")
        sink.store(connection, Batch(SCHEMA, source, f"{minutes[0]:032x}", seed, windows), now_s)
        connection.execute("COMMIT")
    while units := rollup.due_units(connection, now_s):
        for unit in units:
            rollup.roll_up(connection, unit)
    connection.close()


def _minute(fleet, pair, base_seconds, ways, start_s, flags, interval_s, directions, dice):
    there, back = ways
    sla, floor = fleet.sla(*pair, datetime.fromtimestamp(start_s, UTC)), fleet.floor(*pair)
    limit_ns = round((sla.multiplier * floor.floor_seconds + sla.allowance_ms / 1e3) * 1e9)
    kinds = [("tcp", TimeSource.TCP_INFO)] + ([("udp", TimeSource.KERNEL)] if directions else [])
    for probe, clock in kinds:
        lost = {"forward": 0, "backward": 0}
        values = []
        for _ in range(60 // interval_s):
            if dice.random() < 1 - (1 - there.loss) * (1 - 0.0002):
                lost["forward"] += 1
            elif dice.random() < back.loss:
                lost["backward"] += 1
            else:
                extra = (there.extra_ms + back.extra_ms) * dice.uniform(0.7, 1.3) / 1e3
                values.append(round((base_seconds * (1 + 0.01 * dice.expovariate(1)) + extra) * 1e9))
        rtt, gone = Histogram.of(values), sum(lost.values())
        outcomes = {
            outcome: count for outcome, count in ((Outcome.OK, rtt.count), (Outcome.TIMEOUT, gone)) if count
        }
        yield Window(
            SeriesKey(*pair, probe, Family.IPV4, clock), start_s, 60, outcomes, rtt, limit_ns, rtt.count,
            sum(value > limit_ns for value in values), quality=flags,
            counters={f"lost_{way}": count for way, count in lost.items()} if probe == "udp" else {},
        )  # fmt: skip
    if start_s // 60 % 10 == sum(map(ord, "".join(pair))) % 10:
        key = SeriesKey(*pair, "mtu", Family.IPV4, TimeSource.NONE)
        gauges = {"path_mtu_bytes": float(there.mtu)}
        yield Window(key, start_s, 60, {Outcome.OK: 1}, gauges=gauges, quality=flags)
