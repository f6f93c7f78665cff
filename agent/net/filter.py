"""Classic BPF programs for raw sockets, so that only answers to our own packets wake the agent. Pure.

An instruction is (code, jump if true, jump if false, k), struct sock_filter in include/uapi/linux/filter.h.
A raw IPv4 socket's packet begins with the IP header, a raw IPv6 socket's after it.
"""

from typing import NamedTuple

_LD_H_IND, _LD_B_IND = 0x48, 0x50
_LDX_HEADER_LENGTH, _LDX_IMM = 0xB1, 0x01  # x = 4 * (packet[k] & 0xf); x = k
_JEQ, _JGT, _JGE, _JSET = 0x15, 0x25, 0x35, 0x45
_RETURN = 0x06
_WHOLE = 0xFFFF
_SYN_RST_ACK = 0x16
_ECHO_REPLY, _ECHO_REPLY_V6 = 0, 129


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


def _x_at_payload(has_ip_header: bool) -> Instruction:
    return Instruction(_LDX_HEADER_LENGTH, 0, 0, 0) if has_ip_header else Instruction(_LDX_IMM, 0, 0, 0)
