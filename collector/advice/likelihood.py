"""How likely a difference in a fact explains a slow node: the table that drift ranks by. Data, with the reason of each row."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Symptom(StrEnum):
    """What is wrong with a node's paths, as measured."""

    DELAY = "delay"  # round trips or their tail are longer
    LOSS = "loss"  # packets or segments are lost and sent again
    MTU = "mtu"  # large packets do not pass
    THROUGHPUT = "throughput"


D, L, M, T = Symptom.DELAY, Symptom.LOSS, Symptom.MTU, Symptom.THROUGHPUT


@dataclass(frozen=True, slots=True)
class Likelihood:
    """weight: 0 … 1. explains: the symptoms it can cause. why_en, why_zh: how, in one clause, for people.

    facts: a regular expression that the whole name must match; the interface of the default route is called `uplink`.
    """

    facts: str
    weight: float
    explains: frozenset[Symptom]
    why_en: str
    why_zh: str


def _row(weight: float, explains: tuple[Symptom, ...], facts: str, why_en: str, why_zh: str) -> Likelihood:
    return Likelihood(facts, weight, frozenset(explains), why_en, why_zh)


LIKELIHOODS: tuple[Likelihood, ...] = (
    _row(
        1.0, (M, L, T), r"derived\.overlay\..*",
        "tunnelled packets are larger than the link carries: large ones are fragmented or vanish, small ones pass",
        "隧道封装后的数据包超过链路 MTU：大包被分片或丢弃，小包正常",
    ),
    _row(
        0.95, (D, T), r"virtualisation\.accelerated",
        "an emulated CPU handles every packet many times slower", "CPU 由软件模拟，处理每个数据包都慢很多倍",
    ),
    _row(
        0.9, (D, L, T), r"measured\.steal_ratio",
        "the hypervisor gives the CPU to others: packets wait for it", "CPU 时间被宿主机抢占，数据包等待处理",
    ),
    _row(
        0.85, (M, L, T), r"measured\.path_mtu_bytes|measured\.black_hole",
        "large packets do not pass to the others", "大包无法到达其他节点",
    ),
    _row(
        0.8, (M, L, T), r"interface\.uplink\.mtu|route\.with_mtu",
        "whatever is configured for the siblings' MTU sends packets that are too large here",
        "按其他节点的 MTU 配置的组件在此节点发送过大的数据包",
    ),
    _row(
        0.75, (D, T), r"clock\.source|virtualisation\.kind",
        "time is read and interrupts are served in another, perhaps slower way", "读取时钟和处理中断的方式不同，可能更慢",
    ),
    _row(
        0.7, (D, L, T), r"interface\.uplink\.(driver|speed_bits_per_second|duplex)",
        "another network device: an emulated or slower one limits everything", "网卡不同：模拟或低速网卡限制所有流量",
    ),
    _row(
        0.65, (T, L), r"sysctl\.net\.ipv4\.tcp_(congestion_control|sack|window_scaling|timestamps)",
        "another way to send: the rate on a long or lossy path follows from it", "发送方式不同，直接决定长距离或丢包路径的速率",
    ),
    _row(
        0.6, (T,), r"sysctl\.net\.(ipv4\.tcp_[rw]mem|core\.[rw]mem_max|ipv4\.tcp_moderate_rcvbuf)",
        "the window ends at the buffer: rate = buffer ÷ round trip", "窗口受缓冲区限制：速率 = 缓冲区 ÷ 往返时间",
    ),
    _row(
        0.6, (M, L), r"overlay(_config)?\..*",
        "its overlay differs from the siblings'", "overlay 配置与其他节点不同",
    ),
    _row(
        0.6, (D, T), r"cgroup\.cpu_limit_cores|cpu\.count",
        "less CPU for the same work", "完成同样工作的 CPU 更少",
    ),
    _row(
        0.5, (D, L, T), r"interface\.uplink\.(qdisc|rx_queues|tx_queues|rps_enabled|channels|tx_queue_length)",
        "packets queue differently", "数据包排队方式不同",
    ),
    _row(
        0.5, (L, T, D), r"interface\.uplink\.offload\..*",
        "the CPU does what the siblings' devices do, or the other way round", "由 CPU 完成其他节点网卡所做的工作，或相反",
    ),
    _row(
        0.5, (L, D), r"sysctl\.net\.(core\.(netdev_|somaxconn|default_qdisc)|ipv4\.tcp_max_syn_backlog|netfilter\.).*",
        "a queue or table fills up earlier", "队列或连接表更早用满",
    ),
    _row(
        0.5, (T, D), r"container\.kind|kubernetes\.role|cgroup\.memory_limit_bytes|swap\.total_bytes",
        "it runs in another surrounding", "运行环境不同",
    ),
    _row(
        0.45, (T, D), r"sysctl\.(net|vm)\..*",
        "a kernel parameter differs", "内核参数不同",
    ),
    _row(
        0.2, (D, T), r"cpu\.flags\.(vmx|svm|hypervisor)",
        "another host type; inside a guest vmx and svm only say whether nested virtualisation is offered: no proof",
        "宿主机类型不同；在虚拟机内 vmx/svm 只表示是否提供嵌套虚拟化，不能作为证据",
    ),
    _row(
        0.35, (D, T), r"kernel\.release|modules\.loaded",
        "another kernel behaves differently", "内核版本或模块不同，行为不同",
    ),
    _row(
        0.3, (D, T), r"cpu\.(model|vendor|flags\..*)|virtualisation\.platform|memory\.total_bytes|dmi\..*",
        "another machine type", "机型不同",
    ),
    _row(
        0.25, (M, L), r"interface\..*\.mtu|interfaces\.pod_link_mtus",
        "another interface's MTU differs", "其他接口的 MTU 不同",
    ),
)  # fmt: skip
"""The first row that matches a fact counts."""

OTHERWISE = Likelihood(
    "", 0.1, frozenset(Symptom), "no known connection with the network", "与网络没有已知的联系"
)

IGNORED = re.compile(
    r"(virtualisation|container)\.evidence|kubernetes\.pod_uid|cloud\..*|clock\.sources_available|interfaces\.names"
    r"|sysctl_file\..*|overlay_config\.unreadable\..*|route\.ipv[46]\.default|kernel\.version|cpu\.microcode"
    r"|interface\..*\.(operstate|timestamping|driver_version)|dmi\.(bios_version|product_version|chassis_asset_tag)"
    r"|sysctl\.net\.ipv4\.(tcp_mem|udp_mem)|sysctl\.net\.netfilter\.nf_conntrack_(max|buckets)"
    r"|sysctl\.vm\.min_free_kbytes"
)
"""Identities, lists of reasons, and what the kernel derives from the size of the memory: they differ between equals.

What a file sets (sysctl_file) shows in the value in force; a device's state of the moment is no configuration.
"""

PASSING = re.compile(r"clock\.synchronised|interfaces\.pod_link_mtus|memory\.total_bytes")
"""Facts that come and go, or differ after each boot, without anybody's doing: no change whose effect is asked for."""


def is_set_by_somebody(fact: str) -> bool:
    """Whether another value of this fact is a change that may have helped or harmed."""
    return not (IGNORED.fullmatch(fact) or PASSING.fullmatch(fact))


@cache
def likelihood(fact: str) -> Likelihood:
    """The row of a fact's name, its interface already called uplink where it is the one of the default route."""
    return next((row for row in LIKELIHOODS if re.fullmatch(row.facts, fact)), OTHERWISE)
