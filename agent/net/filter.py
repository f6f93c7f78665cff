"""Classic BPF programs: raw sockets get only answers to our own packets, servers only packets of one peer. Pure.

An instruction is (code, jump if true, jump if false, k), struct sock_filter in include/uapi/linux/filter.h.
A raw IPv4 socket's packet begins with the IP header, a raw IPv6 socket's after it.
"""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

_LD_W_ABS, _LD_B_ABS, _RSH = 0x20, 0x30, 0x74
_NETWORK_HEADER = (
    0xFFF00000  # SKF_NET_OFF: offsets from the IP header, whatever the socket's packets begin with
)
_SOURCE_AT = {4: 12, 6: 8}
_EVERYTHING = 0xFFFFFFFF
_LD_H_IND, _LD_B_IND = 0x48, 0x50
_LDX_HEADER_LENGTH, _LDX_IMM = 0xB1, 0x01  # x = 4 * (packet[k] & 0xf); x = k
_JEQ, _JGT, _JGE, _JSET = 0x15, 0x25, 0x35, 0x45
_RETURN = 0x06
_WHOLE = 0xFFFF
_TO_DROP = 0xFF  # replaced by the distance to the last instruction
_SYN_RST_ACK = 0x16
_ECHO_REPLY, _ECHO_REPLY_V6 = 0, 129
_TCP = 6


class Instruction(NamedTuple):
    """One struct sock_filter."""

    code: int
    jt: int
    jf: int
    k: int


def tcp_answer_filter(low: int, high: int, *, has_ip_header: bool) -> tuple[Instruction, ...]:
    """Let through what is for ports low … high with SYN, RST or ACK set."""
    return (
        _x_at_payload(has_ip_header),
        Instruction(_LD_H_IND, 0, 0, 2),
        Instruction(_JGE, 0, 4, low),
        Instruction(_JGT, 3, 0, high),
        Instruction(_LD_B_IND, 0, 0, 13),
        Instruction(_JSET, 0, 1, _SYN_RST_ACK),
        Instruction(_RETURN, 0, 0, _WHOLE),
        Instruction(_RETURN, 0, 0, 0),
    )


def echo_reply_filter(identifier: int, *, has_ip_header: bool) -> tuple[Instruction, ...]:
    """Let through echo replies with this identifier."""
    return (
        _x_at_payload(has_ip_header),
        Instruction(_LD_B_IND, 0, 0, 0),
        Instruction(_JEQ, 0, 3, _ECHO_REPLY if has_ip_header else _ECHO_REPLY_V6),
        Instruction(_LD_H_IND, 0, 0, 4),
        Instruction(_JEQ, 0, 1, identifier),
        Instruction(_RETURN, 0, 0, _WHOLE),
        Instruction(_RETURN, 0, 0, 0),
    )


def source_filter(address: str) -> tuple[Instruction, ...]:
    """Let through, uncut, what has this source address (a literal); also on a socket that listens on both families."""
    source = ipaddress.ip_address(address)
    words = [int.from_bytes(source.packed[i : i + 4], "big") for i in range(0, len(source.packed), 4)]
    checks: list[tuple[int, int, int | None]] = [(_LD_B_ABS, 0, None), (_RSH, 4, source.version)]
    for i, word in enumerate(words):
        checks.append((_LD_W_ABS, _SOURCE_AT[source.version] + 4 * i, word))
    program: list[Instruction] = []
    for code, operand, wanted in checks:
        program.append(Instruction(code, 0, 0, operand if code == _RSH else _NETWORK_HEADER + operand))
        if wanted is not None:
            program.append(Instruction(_JEQ, 0, _TO_DROP, wanted))
    program += [Instruction(_RETURN, 0, 0, _EVERYTHING), Instruction(_RETURN, 0, 0, 0)]
    last = len(program) - 1
    return tuple(
        step._replace(jf=last - at - 1) if step.jf == _TO_DROP else step for at, step in enumerate(program)
    )


def tcp_of_hosts_filter(hosts: Sequence[str], keep_bytes: int) -> tuple[Instruction, ...]:
    """Let through the first bytes of TCP packets from or to any of these literal addresses, or of all without any.

    Raises ValueError for what is no address, and for more hosts than a program has room for (about 20).
    """
    addresses = [ipaddress.ip_address(host) for host in hosts]
    program = [Instruction(_LD_B_ABS, 0, 0, _NETWORK_HEADER), Instruction(_RSH, 0, 0, 4)]
    for version, protocol_at, ends in ((4, 9, (12, 16)), (6, 6, (8, 24))):
        checks = [Instruction(_LD_B_ABS, 0, 0, _NETWORK_HEADER + protocol_at)]
        own = [address.packed for address in addresses if address.version == version]
        accept = Instruction(_RETURN, 0, 0, keep_bytes)
        blocks = [_equal(packed, at, accept) for packed in own for at in ends] or [[accept]] * (not addresses)
        body = [step for block in blocks for step in block]
        checks += [Instruction(_JEQ, 0, len(body), _TCP), *body, Instruction(_RETURN, 0, 0, 0)]
        if len(checks) > 255:
            raise ValueError(f"{len(hosts)} hosts are more than one packet filter has room for")
        program += [Instruction(_JEQ, 0, len(checks), version), *checks]
    return (*program, Instruction(_RETURN, 0, 0, 0))


def _equal(packed: bytes, at: int, then: Instruction) -> list[Instruction]:
    """`then` where the packet has these bytes there, in words; what follows is reached otherwise."""
    words = [int.from_bytes(packed[i : i + 4], "big") for i in range(0, len(packed), 4)]
    block = [then]
    for i, word in reversed(list(enumerate(words))):
        block = [
            Instruction(_LD_W_ABS, 0, 0, _NETWORK_HEADER + at + 4 * i),
            Instruction(_JEQ, 0, len(block), word),
            *block,
        ]
    return block


def _x_at_payload(has_ip_header: bool) -> Instruction:
    return Instruction(_LDX_HEADER_LENGTH, 0, 0, 0) if has_ip_header else Instruction(_LDX_IMM, 0, 0, 0)
