import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.inspect import inspect
from agent.kernel.parse_error import ParseError
from agent.kernel.traceroute import Reply, parse_traceroute

FIXTURES = Path(__file__).parents[1] / "fixtures" / "traceroute"
CORPUS = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[2].parent / "shared/data"))
HEADER = "traceroute to host.example (192.0.2.9), 30 hops max, 60 byte packets\n"


def replies(*lines, header=HEADER):
    return [
        reply for hop in parse_traceroute((header + "\n".join(lines)).encode()).hops for reply in hop.replies
    ]


def test_a_recorded_route_has_its_hops_in_seconds():
    """Three round trips of one hop, printed in ms."""
    route = parse_traceroute((FIXTURES / "linux_n.txt").read_bytes())
    assert (route.target, route.address, route.max_hops, route.packet_bytes) == (
        "127.0.0.1",
        "127.0.0.1",
        30,
        60,
    )
    (hop,) = route.hops
    assert [reply.rtt_seconds for reply in hop.replies] == [27e-6, 4e-6, 3e-6]
    assert route.reached is True


def test_an_unreachable_target_is_not_reached():
    """!H stays with its probe; the router that said so is no answer of the target; silence is silence."""
    route = parse_traceroute((FIXTURES / "linux_unreachable.txt").read_bytes())
    assert [reply.annotations for reply in route.hops[0].replies] == [("!H",), ("!H",), ()]
    assert route.reached is False
    silent = parse_traceroute((FIXTURES / "linux_silent.txt").read_bytes())
    assert [hop.silent for hop in silent.hops] == [True] * 4
    own = "traceroute to a (10.0.0.1), 9 hops max\n 1  10.0.0.1  1.0 ms !X\n"
    assert parse_traceroute(own.encode()).reached is False


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (" 4  a.example (192.0.2.1)  1.5 ms", [Reply("192.0.2.1", "a.example", 0.0015)]),
        (" 4  192.0.2.1 (192.0.2.1)  1.5 ms", [Reply("192.0.2.1", None, 0.0015)]),
        (" 4  2001:db8::1  1.5 ms", [Reply("2001:db8::1", None, 0.0015)]),
        (
            " 4  192.0.2.1  1 ms 192.0.2.2  2 ms *",
            [Reply("192.0.2.1", None, 0.001), Reply("192.0.2.2", None, 0.002), Reply()],
        ),
        (
            " 4  * 192.0.2.1  1 ms !<500> !X",
            [Reply(), Reply("192.0.2.1", None, 0.001, None, ("!<500>", "!X"))],
        ),
        (" 4  a (192.0.2.1) [AS64500]  1 ms", [Reply("192.0.2.1", "a", 0.001, 64500)]),
        (" 4  a (192.0.2.1) [*]  1 ms", [Reply("192.0.2.1", "a", 0.001)]),
        (
            " 4  [AS64500] a (192.0.2.1)  1 ms\n    [AS0] b (192.0.2.2)  2 ms",
            [Reply("192.0.2.1", "a", 0.001, 64500), Reply("192.0.2.2", "b", 0.002, 0)],
        ),
        (" 4  a (192.0.2.1) <MPLS:L=9,E=0,S=1,T=1>  1 ms", None),
    ],
)
def test_every_way_to_print_a_hop(line, expected):
    """Names, several hosts, silent probes, annotations, AS numbers before (BSD) or after (Linux) the host."""
    if expected is None:
        with pytest.raises(ParseError, match="neither a host"):
            replies(line)
    else:
        assert replies(line) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no hop"),
        (HEADER, "no hop"),
        (HEADER + "connect: No route to host", "No route to host"),
        ("ping: unknown host", "neither a hop nor"),
        (HEADER + " 2 *\n 1 *", "hop 1 after hop 2"),
        (HEADER + " 300 *", "hop 300 after"),
        (HEADER + " 1", "a hop without a probe"),
        (HEADER + " 1  5.0 ms", "neither a host"),
        (HEADER + " 1  nonsense 5.0 ms", "neither a host"),
        ("Tracing route to example.com [192.0.2.1]", "neither a hop nor"),
    ],
)
def test_what_is_no_route_is_refused_with_its_place(text, reason):
    """The line and what is wrong there."""
    with pytest.raises(ParseError, match=reason):
        parse_traceroute(text.encode())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "1",
                    "2",
                    " ",
                    "\n",
                    "*",
                    "10.0.0.1",
                    "(10.0.0.1)",
                    "5.1",
                    "ms",
                    "!H",
                    "[AS1]",
                    "h",
                    "F=1",
                    "::1",
                ]
            ),
            max_size=40,
        ).map(lambda t: " ".join(t).encode()),
    )
)
def test_any_bytes_give_a_route_or_a_parse_error(data):
    """No input makes another exception."""
    with contextlib.suppress(ParseError):
        json.dumps(inspect("traceroute", data))
    with contextlib.suppress(ParseError):
        parse_traceroute(HEADER.encode() + data)


@pytest.mark.corpus
def test_every_real_route_is_read():
    """Linux, macOS, FreeBSD, IPv6, -q 1 and -q 5, AS numbers, load-balanced hops, a cut last line."""
    files = sorted((CORPUS / "6-path").glob("jc_*"))
    if not files:
        pytest.skip(f"no corpus at {CORPUS}")
    routes = {path.name: parse_traceroute(path.read_bytes()) for path in files}
    hops = {name: len(route.hops) for name, route in routes.items()}
    assert hops["jc_centos-7.7_traceroute.txt"] == 30
    assert hops["jc_freebsd12_traceroute6.txt"] == 31
    assert hops["jc_osx-10.14.6_traceroute-mult-addresses.txt"] == 3
    balanced = routes["jc_generic_traceroute7.txt"].hops[7]
    assert [(r.address, r.as_number, r.rtt_seconds) for r in balanced.replies] == [
        ("181.40.42.30", 0, 0.065148),
        ("5.53.0.155", 0, 0.065096),
        ("181.40.42.30", 0, 0.065157),
    ]
    assert [r.as_number for r in routes["jc_generic_traceroute1.txt"].hops[11].replies] == [
        None,
        15169,
        15169,
    ]
    assert {len(h.replies) for h in routes["jc_osx-10.14.6_traceroute-q.txt"].hops} == {5}
    assert routes["jc_osx-10.14.6_traceroute.txt"].reached is True
    assert routes["jc_centos-7.7_traceroute.txt"].reached is False
