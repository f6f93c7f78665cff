"""What an agent hands to the collector: a batch of closed windows and facts, as JSON.

A batch is identified by (node, boot, sequence). boot is drawn anew at each start of the agent process;
sequence counts from 0 within it. Decoding refuses unknown keys, wrong types and contradictory numbers.
"""

from typing import Annotated, Any

import msgspec

from agent.wire.histogram import Histogram
from agent.wire.series import Family, Name, Outcome, SeriesKey

SCHEMA = 2
ACCEPTED_SCHEMAS = (SCHEMA - 1, SCHEMA)
"""Schema 1 had no times, counters, gauges and events; what it lacks reads as empty."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
UnixSeconds = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
BootId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]


class WireError(ValueError):
    """Bytes that are not a batch this version understands; the message names the key path."""


class MalformedError(WireError):
    """Not even JSON."""


class ForeignWindowError(WireError):
    """A batch of one node with windows of another: a node writes only as itself."""


class Window(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One minute (length_s) of one series, closed once.

    start_s: wall-clock start, seconds since the epoch. outcomes: probes by how they ended.
    rtt: the times of answered probes only. judged, over_limit: samples compared with limit_ns and
    those above it; both 0 when no limit applied. times, counters, gauges: what else the probe measures, by name;
    a gauge is the latest value in the window. quality: what this host itself did to that minute,
    as figure by flag (for example steal_ratio 0.2, clock_step_seconds −3600); empty when clean.
    """

    series: SeriesKey
    start_s: UnixSeconds
    length_s: Annotated[int, msgspec.Meta(ge=1, le=3600)]
    outcomes: dict[Outcome, Count]
    rtt: Histogram = msgspec.field(default_factory=Histogram)
    limit_ns: Count | None = None
    judged: Count = 0
    over_limit: Count = 0
    times: dict[Name, Histogram] = msgspec.field(default_factory=dict)
    counters: dict[Name, Count] = msgspec.field(default_factory=dict)
    gauges: dict[Name, float] = msgspec.field(default_factory=dict)
    quality: dict[Name, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.over_limit > self.judged or self.judged > self.rtt.count:
            raise ValueError("over_limit ≤ judged ≤ rtt.count does not hold")
        if self.rtt.count > sum(self.outcomes.values()):
            raise ValueError("more times than outcomes")


class Fact(msgspec.Struct, forbid_unknown_fields=True):
    """One fact of the host: what, from where, when. value None with a reason means it could not be read."""

    name: Name
    value: Any
    source: str
    time_s: UnixSeconds
    reason: str | None = None


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Something that happened once and is kept as evidence: a route, an MTU step, a bandwidth test's result.

    kind names what it is and so what detail holds; destination and family are None for the host's own events.
    """

    time_s: UnixSeconds
    kind: Name
    detail: dict[str, Any]
    destination: Name | None = None
    family: Family | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The unit that is spooled, sent, and stored exactly once."""

    schema: int
    node: Name
    boot: BootId
    sequence: Count
    windows: list[Window] = msgspec.field(default_factory=list)
    facts: list[Fact] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Batch)


class _Version(msgspec.Struct):
    schema: int


class _Sender(msgspec.Struct):
    node: str


_VERSION_DECODER = msgspec.json.Decoder(_Version)
_NODE_DECODER = msgspec.json.Decoder(_Sender)


def encode(batch: Batch) -> bytes:
    """The batch as JSON bytes."""
    return _ENCODER.encode(batch)


def node_of(body: bytes) -> str | None:
    """Whose batch these JSON bytes are, whatever else is in them; None for bytes that do not say."""
    try:
        return _NODE_DECODER.decode(body).node
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def decode(body: bytes) -> Batch:
    """A batch from JSON bytes. Raises WireError for anything that is not a valid batch of an accepted schema.

    MalformedError and ForeignWindowError tell two of the reasons apart for whoever answers the agent.
    """
    try:
        version = _VERSION_DECODER.decode(body).schema
        if version not in ACCEPTED_SCHEMAS:
            known = " and ".join(map(str, ACCEPTED_SCHEMAS))
            raise WireError(f"schema {version} is not accepted here; this collector reads {known}")
        batch = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise WireError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from error
    strangers = {w.series.source for w in batch.windows} - {batch.node}
    if strangers:
        raise ForeignWindowError(f"a batch of {batch.node} holds windows of {', '.join(sorted(strangers))}")
    return batch
