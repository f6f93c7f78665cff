"""One group of sockets while they are being read: figures for quantiles, and the totals by socket cookie. Pure."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

from agent.kernel.inet_diag_figures import NO_MIN_RTT, NO_SSTHRESH, Account, Figures, Totals
from agent.sockets import GroupReading, Quantiles, Traffic

_MISSED = 4096
"""Sockets gone at one reading that are still remembered at the next."""

_NOTHING: Totals = (0, 0, 0, 0, 0)


class SocketTally:
    """Adds up the sockets of one group.

    Totals are kept in two generations by cookie: this reading's, and what is left of the last one's. A socket moves
    from one to the other when it is seen; those left over at the end have closed. Each costs about 200 bytes.
    A dump goes on from a place in a hash bucket, so that it can miss a socket or give it twice when the bucket has
    changed. A second sight is not counted, and a few left over are kept for one more reading: a long-lived socket
    that comes back must not be taken for one that has sent all its bytes just now.
    """

    def __init__(self) -> None:
        self._before: dict[int, bytes] = {}
        self._missed: dict[int, bytes] = {}
        self._now: dict[int, bytes] = {}
        self._counts_newcomers = False
        self._readings = 0
        self._clear()

    def _clear(self) -> None:
        self._rtt_us = array("I")
        self._min_rtt_us = array("I")
        self._cwnd = array("I")
        self._ssthresh = array("I")
        self._rate_bytes = array("Q")
        self._opened = 0
        self._congestion: dict[bytes, int] = {}
        self._busy_us = self._rwnd_us = self._sndbuf_us = 0
        self._sent = self._retransmitted = 0

    def add(self, figures: Figures, read_totals: Callable[[bytes], Totals] | None) -> None:
        """Count one socket. read_totals: what reads its totals, None where the kernel gives none."""
        _, _, _, _, cookie, _, rtt_us, ssthresh, cwnd, early, min_rtt_us, rate_bytes, late, _, congestion = (
            figures
        )
        if cookie in self._now:
            return
        self._rtt_us.append(rtt_us)
        self._min_rtt_us.append(min_rtt_us or 0)
        self._cwnd.append(cwnd)
        self._ssthresh.append(ssthresh)
        self._rate_bytes.append(rate_bytes or 0)
        self._congestion[congestion] = self._congestion.get(congestion, 0) + 1
        totals = early + late if early else late
        before = self._before.pop(cookie, None)
        if before == totals:
            self._now[cookie] = before or b""  # the older of two equal values, so that one of them is freed
            return
        self._now[cookie] = totals
        if before is None:
            before = self._missed.pop(cookie, None)
        if before is None:
            self._opened += 1
        if read_totals is not None and (before is not None or self._counts_newcomers):
            self._account(read_totals(totals), read_totals(before) if before else _NOTHING)

    def _account(self, totals: Totals, before: Totals) -> None:
        busy_us, rwnd_us, sndbuf_us, sent, retransmitted = totals
        busy_then, rwnd_then, sndbuf_then, sent_then, retransmitted_then = before
        if sent < sent_then or retransmitted < retransmitted_then:
            # before Linux 4.2 a cookie is an address, and a new socket may have that of an old one
            busy_then = rwnd_then = sndbuf_then = sent_then = retransmitted_then = 0
        self._busy_us += busy_us - busy_then
        self._rwnd_us += rwnd_us - rwnd_then
        self._sndbuf_us += sndbuf_us - sndbuf_then
        self._sent += sent - sent_then
        self._retransmitted += retransmitted - retransmitted_then

    def settle(self, *, whole: bool, account: Account | None) -> Iterator[GroupReading | None]:
        """End the reading: None after each longer piece of work, then what was read.

        whole: every socket was seen. account: what totals count, None if the kernel gives none.
        """
        quantiles = []
        for values, scale, none_yet in self._scaled():
            ordered = sorted(values)
            quantiles.append(
                _quantiles(ordered[bisect_right(ordered, 0) : bisect_left(ordered, none_yet)], scale)
            )
            yield None
        comparable = whole and self._counts_newcomers
        reading = GroupReading(
            connections=len(self._cwnd),
            opened=self._opened if comparable else None,
            closed=len(self._before) if comparable else None,
            rtt_seconds=quantiles[0],
            min_rtt_seconds=quantiles[1],
            cwnd_segments=quantiles[2],
            ssthresh_segments=quantiles[3],
            delivery_rate_bits_per_second=quantiles[4],
            ssthresh_unset=sum(value >= NO_SSTHRESH for value in self._ssthresh),
            congestion={_name(congestion): count for congestion, count in self._congestion.items()},
            traffic=self._traffic(account) if self._readings and account else None,
        )
        self._missed = dict(self._before) if len(self._before) <= _MISSED else {}
        self._before, self._now = self._now, {}
        self._counts_newcomers = whole
        self._readings += 1
        self._clear()
        yield reading

    def _scaled(self) -> tuple[tuple["array[int]", float, int], ...]:
        """Values, their unit, and the value from which on they stand for "none yet"; so does 0."""
        return (
            (self._rtt_us, 1e6, 2**32),
            (self._min_rtt_us, 1e6, NO_MIN_RTT),
            (self._cwnd, 1, 2**32),
            (self._ssthresh, 1, NO_SSTHRESH),
            (self._rate_bytes, 1 / 8, 2**64),
        )

    def _traffic(self, account: Account) -> Traffic:
        times_us = (self._busy_us, self._rwnd_us, self._sndbuf_us)
        busy, rwnd, sndbuf = (time_us / 1e6 if account.has_times else None for time_us in times_us)
        return Traffic(account.unit, self._sent, self._retransmitted, busy, rwnd, sndbuf)


def _name(congestion: bytes) -> str:
    return congestion.rstrip(b"\0").decode("utf-8", "replace")


def _quantiles(ordered: list[int], per_unit: float) -> Quantiles | None:
    if not ordered:
        return None
    ranks = (1, *(math.ceil(q * len(ordered)) for q in (0.5, 0.9, 0.99)), len(ordered))
    return Quantiles(*(ordered[rank - 1] / per_unit for rank in ranks))
