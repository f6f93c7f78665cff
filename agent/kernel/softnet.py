"""/proc/net/softnet_stat: per CPU, what the receive path did (net/core/net-procfs.c softnet_seq_show).

One line per online CPU, hexadecimal 32-bit counters that wrap, no heading; the number of columns tells the kernel:
9 in 2.6, 10 from 2.6.35 (received_rps), 11 from 3.11 (flow_limit_count), 13 in 5.x (backlog length and the
CPU's number), 15 in 6.x (the two parts of the backlog). Columns 4 to 8 mean nothing, and the
ninth (collisions on the transmit lock) nothing any more.
"""

from dataclasses import dataclass

from agent.kernel.parse_error import ParseError
from agent.kernel.text import text_of

SOURCE = "proc/net/softnet_stat"
WIDTHS = (9, 10, 11, 13, 15)
COUNTER_MODULUS = 2**32
HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class SoftnetCpu:
    """One CPU. processed, dropped, received_rps, flow_limit: packets; time_squeeze: times the budget ran out.

    cpu: its number, None where the kernel does not print it (the line's place then tells it only while every CPU
    is online). backlog_packets: waiting now, in the input and the process queue together.
    """

    processed: int
    dropped: int
    time_squeeze: int
    received_rps: int | None = None
    flow_limit: int | None = None
    backlog_packets: int | None = None
    cpu: int | None = None
    input_queue_packets: int | None = None
    process_queue_packets: int | None = None


def parse_softnet(data: bytes) -> tuple[SoftnetCpu, ...]:
    """One value per line. Raises ParseError, also for an empty file: a running host has a CPU."""
    lines = text_of(SOURCE, data).splitlines()
    cpus = tuple(_cpu(line.split(), f"line {at}") for at, line in enumerate(lines, 1) if line.strip())
    if not cpus:
        raise ParseError(SOURCE, "file", "no CPU line")
    return cpus


def _cpu(words: list[str], where: str) -> SoftnetCpu:
    width = len(words)
    if width not in WIDTHS and width < WIDTHS[-1]:
        raise ParseError(
            SOURCE, where, f"{width} columns; kernels print {', '.join(map(str, WIDTHS))}", " ".join(words)
        )
    column = [_hexadecimal(word, where) for word in words[: WIDTHS[-1]]]
    return SoftnetCpu(
        processed=column[0],
        dropped=column[1],
        time_squeeze=column[2],
        received_rps=column[9] if width >= 10 else None,
        flow_limit=column[10] if width >= 11 else None,
        backlog_packets=column[11] if width >= 13 else None,
        cpu=column[12] if width >= 13 else None,
        input_queue_packets=column[13] if width >= 15 else None,
        process_queue_packets=column[14] if width >= 15 else None,
    )


def _hexadecimal(word: str, where: str) -> int:
    if len(word) != 8 or not HEX_DIGITS.issuperset(word):
        raise ParseError(SOURCE, where, "eight hexadecimal digits were expected", word)
    return int(word, 16)
