import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from agent.kernel.tcp_options import NO_OPTIONS, Options, parse_options


def options_of(*given):
    return bytes(TCP(options=list(given)))[20:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", NO_OPTIONS),
        (
            options_of(("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 10)),
            Options(1460, 10, True, 7, 0),
        ),
        (
            options_of(("NOP", None), ("NOP", None), ("Timestamp", (2**32 - 1, 5))),
            Options(stamp=2**32 - 1, echo=5),
        ),
        (options_of(("NOP", None), ("NOP", None), ("SAck", (1, 2, 3, 4))), Options(sack=((1, 2), (3, 4)))),
        (options_of(("WScale", 200)), Options(window_scale=14)),
        (b"\x1e\x04\x00\x81\x02\x04\x05\xb4", Options(mss=1460, mptcp=True)),
        (b"\x02\x04\x05\xb4\x05\x22\x00", Options(mss=1460)),
        (b"\x00\x02\x04\x05\xb4", NO_OPTIONS),
        (b"\x02\x00\x05\xb4", NO_OPTIONS),
    ],
)
def test_options_as_scapy_writes_them(data, expected):
    """Every option that the analysis stands on; what overruns, or follows the end of the list, is not read."""
    assert parse_options(data) == expected


@given(st.binary(max_size=44))
def test_any_bytes_are_some_options(data):
    """Nothing raises, and no SACK block is half read."""
    assert all(len(block) == 2 for block in parse_options(data).sack)
