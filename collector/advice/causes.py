"""What can cause which symptom, which signs speak for and against it, and what would decide. Data, in both languages.

Most causes are found by a rule of the same id. Two are not faults of any host and have a question in place of a
rule: the way itself (a detour) and loss on it.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.advice.finding import Language
from collector.advice import signs
from collector.advice.signs import Question


class Complaint(StrEnum):
    """What somebody on the node would complain about. Which findings tell of it: COMPLAINTS."""

    DELAY = "delay"
    LOSS = "loss"
    LARGE_PACKETS = "large packets"
    RATE = "rate"
    CONNECTING = "connecting"


COMPLAINTS: dict[str, Complaint] = {
    "p99-over-floor": Complaint.DELAY,
    "qos": Complaint.DELAY,
    "retransmits": Complaint.LOSS,
    "congestion-control": Complaint.LOSS,
    "pmtu-black-hole": Complaint.LARGE_PACKETS,
    "path-mtu": Complaint.LARGE_PACKETS,
    "overlay-mtu": Complaint.LARGE_PACKETS,
    "mtu-probing": Complaint.LARGE_PACKETS,
    "tcp-buffers": Complaint.RATE,
    "tcp-window-scaling": Complaint.RATE,
    "tcp-mem": Complaint.RATE,
    "zero-window": Complaint.RATE,
    "listen-queue": Complaint.CONNECTING,
    "tls-key": Complaint.CONNECTING,
}
"""Rule → what its finding, when a warning or worse, shows to be wrong."""
COMPLAINTS_ZH = {
    Complaint.DELAY: "时延",
    Complaint.LOSS: "丢包与重传",
    Complaint.LARGE_PACKETS: "大包不通",
    Complaint.RATE: "速率",
    Complaint.CONNECTING: "建立连接",
}


def named(complaint: Complaint, language: Language) -> str:
    """For people."""
    return COMPLAINTS_ZH[complaint] if language == "zh" else complaint.value


@dataclass(frozen=True, slots=True)
class Sign:
    """weight: added to the cause's score where the answer is yes; below 0 it speaks against the cause.

    about: it says something of these complaints only.
    """

    question: Question
    weight: float
    en: str
    zh: str
    about: frozenset[Complaint] = frozenset(Complaint)


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding of this id makes it a candidate; where no rule has that id, question does, with base as its score.

    explains: complaint → how well, 0 … 1. measurement: what would confirm or clear it.
    """

    id: str
    explains: dict[Complaint, float]
    measurement: str
    signs: tuple[Sign, ...] = ()
    question: Question | None = None
    base: float = 0.0


D, L, M, R, C = Complaint.DELAY, Complaint.LOSS, Complaint.LARGE_PACKETS, Complaint.RATE, Complaint.CONNECTING

DELAY_AND_LOSS = frozenset({D, L})
ALL_PATHS = Sign(
    signs.every_path_suffers, 0.8, "most paths from here suffer alike", "本节点的多数路径同样受影响", DELAY_AND_LOSS,
)  # fmt: skip
NOT_ALL_PATHS = Sign(
    signs.some_paths_are_well, -0.8, "most paths from here are well: a host's fault would slow them too",
    "本节点的多数路径正常：若为主机问题，它们也会变慢", DELAY_AND_LOSS,
)  # fmt: skip
TAIL = Sign(signs.only_the_tail_is_slow, 0.5, "only the tail is slow", "仅尾部时延高")
NOT_TAIL = Sign(
    signs.even_the_best_is_slow, -1.0, "even the smallest round trip is too long: no queue does that",
    "连最小往返时延都过长：排队不会如此",
)  # fmt: skip
TIMEOUTS = Sign(signs.timeouts_dominate, 0.5, "retransmissions are mostly timeouts", "重传以超时为主")
FAST = Sign(
    signs.fast_retransmits_dominate,
    0.7,
    "single segments are lost and recovered at once",
    "单个段丢失并立即恢复",
)
SYNS = Sign(signs.syns_dominate, 0.7, "retransmissions are mostly SYNs", "重传以 SYN 为主")
OWN_PATHS = Sign(
    signs.every_path_suffers, -0.8, "most paths from here suffer alike: what they share is this node",
    "本节点的多数路径同样受影响：其共同点是本节点", DELAY_AND_LOSS,
)  # fmt: skip
PROBES_LOST = Sign(signs.probes_are_lost, 1.0, "small probes are lost, too", "小的探测包同样丢失")
PROBES_ARRIVE = Sign(signs.probes_arrive, -1.0, "small probes all arrive", "小的探测包全部到达")
TOO_FEW_DROPS = Sign(
    signs.drops_are_too_few, -1.5, "the backlog dropped far less than was sent again", "积压队列丢弃的远少于重传的",
    frozenset({L}),
)  # fmt: skip
STOLEN = Sign(signs.cpu_is_stolen, 0.5, "the CPU is given to others", "CPU 时间被占用")
HOLE = Sign(signs.large_packets_vanish, 0.5, "large packets vanish without a word", "大包被悄悄丢弃")
WAITING = Sign(
    signs.senders_wait_for_windows, 0.5, "connections wait for windows or buffers", "连接在等待窗口或缓冲区"
)

CAUSES: tuple[Cause, ...] = (
    Cause("change-harmed", {D: 1, L: 1, M: 0.6, R: 1, C: 0.3}, "lightfloor-collector effect --node {node} --at TIME"),
    Cause(
        "virt-acceleration", {D: 0.9, L: 0.4, R: 0.6, C: 0.3}, "vmstat 1 60  # on {node}: column st",
        (ALL_PATHS, NOT_ALL_PATHS, STOLEN, TAIL),
    ),
    Cause("overlay-mtu", {M: 1, L: 0.8, R: 0.5}, "ping -M do -s SIZE  # through the overlay of {node}", (TIMEOUTS,)),
    Cause(
        "pmtu-black-hole", {M: 1, L: 0.9, R: 0.6}, "lightfloor-agent probe mtu {peer}", (HOLE, TIMEOUTS),
    ),
    Cause("path-mtu", {M: 0.8, L: 0.3}, "lightfloor-agent probe mtu {peer}"),
    Cause(
        "softnet", {L: 0.8, D: 0.5, R: 0.4}, "cat /proc/net/softnet_stat  # on {node}, twice, a minute apart",
        (ALL_PATHS, NOT_ALL_PATHS, TOO_FEW_DROPS),
    ),
    Cause("tcp-mem", {R: 0.9, L: 0.3, C: 0.4}, "cat /proc/net/sockstat  # on {node}: mem against tcp_mem"),
    Cause("listen-queue", {C: 1, L: 0.4}, "ss -ltn  # on {node}: Recv-Q against Send-Q", (SYNS,)),
    Cause("zero-window", {R: 0.9}, "ss -tmi  # on {node}: Recv-Q and skmem of the connections"),
    Cause("tcp-window-scaling", {R: 1}, "ss -ti  # on {node}: wscale", (WAITING,)),
    Cause("tcp-buffers", {R: 0.8}, "ss -ti  # on {node}: rwnd_limited, sndbuf_limited", (WAITING,)),
    Cause("nic-driver", {R: 0.8, D: 0.4, L: 0.2}, "ethtool -i {interface}  # on {node}"),
    Cause("offloads", {R: 0.5, L: 0.3}, "ethtool -k {interface}  # on {node}"),
    Cause(
        "qos", {D: 0.9, L: 0.3}, "lightfloor-agent probe udp {peer}  # while iperf3 runs",
        (Sign(signs.delay_grows_under_load, 0.5, "delay grows under load", "负载下时延增大"), TAIL, NOT_TAIL),
    ),
    Cause(
        "detour", {D: 1}, "lightfloor-agent probe trace {peer}",
        (Sign(signs.route_changed, 0.5, "the route changed in that time", "期间路由发生变化"),),
        question=signs.even_the_best_is_slow, base=2.4,
    ),
    Cause(
        "path-loss", {L: 0.9, R: 0.6, D: 0.4}, "lightfloor-agent probe udp {peer} -c 500 -i 0.02",
        (PROBES_LOST, PROBES_ARRIVE, FAST, OWN_PATHS),
        question=signs.packets_are_lost, base=1.2,
    ),
    Cause("route-change", {D: 0.5, M: 0.4}, "lightfloor-agent probe trace {peer}"),
    Cause("tcp-sack", {L: 0.5, R: 0.5}, "sysctl net.ipv4.tcp_sack  # on {node}"),
    Cause("congestion-control", {R: 0.6, L: 0.2}, "ss -ti  # on {node}: the algorithm, retrans and cwnd"),
    Cause("slow-start-after-idle", {R: 0.3}, "ss -ti  # on {node}: cwnd and lastsnd of idle connections"),
    Cause("swappiness", {D: 0.4}, "vmstat 1 60  # on {node}: columns si and so"),
    Cause("ipv6", {D: 0.5, C: 0.4}, "lightfloor-agent probe tcp {peer} -6"),
    Cause("tls-key", {C: 0.7}, "lightfloor-agent probe tls {peer}"),
    Cause("udp-keepalive", {C: 0.4}, "conntrack -L -p udp  # on {node} and its gateway"),
    Cause("fleet-drift", {D: 0.4, L: 0.4, M: 0.3, R: 0.4}, "lightfloor-collector advise --compare {node}"),
)  # fmt: skip
"""A finding whose id is not among these explains nothing: it is a symptom (retransmits) or a remark (overlay-kind)."""
WORDS_OF_THE_WAY = {
    "detour": ("the way itself is too long: the provider's route", "路径本身过长：服务商的路由绕行"),
    "path-loss": ("packets are lost on the way", "路径丢包"),
}
