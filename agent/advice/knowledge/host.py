"""Words for the rules of agent.advice.rules.queues and devices."""

from agent.advice.finding import Words
from agent.advice.rule import Knowledge

LISTEN_QUEUE = Knowledge(
    Words(
        title="A listening socket's queue overflows",
        what="{overflows} connections were turned away at a full accept queue, {drops} SYNs dropped, {cookies} SYN cookies sent.",
        why="A client whose SYN or final ACK is dropped waits 1 s and more before it tries again.",
        effect="A queue of the new size absorbs bursts; what is accepted too slowly will fill that one too.",
        risk="Longer queues hide a program that does not accept fast enough.",
        unless="the program passes its own, smaller backlog to listen(2): raise that too, and restart it",
    ),
    Words(
        title="监听套接字队列溢出",
        what="全连接队列已满时拒绝了 {overflows} 条连接，丢弃 SYN {drops} 个，发送 SYN cookie {cookies} 个。",
        why="SYN 或最后的 ACK 被丢弃时，客户端要等 1 秒以上才会重试。",
        effect="新的队列长度可吸收突发；若程序接收过慢，新的队列仍会被填满。",
        risk="更长的队列会掩盖程序 accept 过慢的问题。",
        unless="程序在 listen(2) 中传入了更小的 backlog：需一并调大并重启程序",
    ),
    "listen(2), tcp(7); kernel Documentation/networking/snmp_counter.rst",
    ("SO_REUSEPORT spreads one port over several accept queues", "edge-triggered epoll accepts in batches"),
)
ZERO_WINDOW = Knowledge(
    Words(
        title="Receive windows close: {who}",
        what="This host's window closed {own} times; peers' windows had to be probed {peers} times.",
        why="While a window is closed nothing is sent, and the sender finds out by probes that back off. Here: {who}.",
        effect="Transfers no longer stall; the network is not at fault.",
        risk="None; this only says where to look.",
        unless="the receiver pauses on purpose (a download that is throttled)",
    ),
    Words(
        title="接收窗口关闭：{who}",
        what="本机窗口关闭 {own} 次；对端窗口被探测 {peers} 次。",
        why="窗口关闭期间不发送任何数据，发送端只能以退避的探测得知恢复。此处：{who}。",
        effect="传输不再停顿；责任不在网络。",
        risk="无；仅指出应检查之处。",
        unless="接收端有意暂停（例如限速下载）",
    ),
    "RFC 9293 section 3.8.6.1; container tuning article (A)",
)
SOFTNET = Knowledge(
    Words(
        title="The kernel's receive loop is short of room: {reasons}",
        what="Seen: {reasons}.",
        why="Packets wait or are dropped inside this host before any program sees them; peers see loss and jitter.",
        effect="Drops and squeezes stop growing when the backlog and the budget cover the bursts.",
        risk="A larger budget lets receiving take more CPU at a time from programs.",
        unless="CPU time is stolen or throttled: then the host is too small, not the budget",
    ),
    Words(
        title="内核收包能力不足：{reasons}",
        what="所见：{reasons}。",
        why="数据包在任何程序看到之前就在本机等待或被丢弃；对端看到的是丢包与抖动。",
        effect="积压队列与配额足以覆盖突发后，丢弃与用尽次数不再增长。",
        risk="配额变大后，收包一次占用程序更多 CPU。",
        unless="CPU 被抢占或限流：那是主机太小，而不是配额问题",
    ),
    "kernel Documentation/networking/scaling.rst, Documentation/admin-guide/sysctl/net.rst; socket tuning article (B)",
    ("busy polling, XDP and DPDK take packets out of this path entirely",),
)
VIRT_ACCELERATION = Knowledge(
    Words(
        title="The virtual machine itself is slow: {reasons}",
        what="Hypervisor: {kind}. Signs: {reasons}.",
        why="Every packet and every time stamp passes through this; nothing set inside the guest cures it.",
        effect="On an accelerated host with free CPU, latency noise of this cause goes away.",
        risk="A move means a short outage and perhaps a new address.",
        unless="it was tested on this host that the figures come from your own load",
    ),
    Words(
        title="虚拟机本身很慢：{reasons}",
        what="虚拟化类型：{kind}。迹象：{reasons}。",
        why="每个数据包与每次取时都要经过它；在虚拟机内部调参无法解决。",
        effect="迁移到有硬件加速且 CPU 空闲的宿主机后，此类时延抖动消失。",
        risk="迁移会短暂中断，地址可能改变。",
        unless="已在本机确认这些数值来自自身负载",
    ),
    "kernel Documentation/virt/kvm; slow-node article (E), whose vmx/svm test only tells nested virtualisation inside a guest",
)
NIC_DRIVER = Knowledge(
    Words(
        title="Emulated network device: {devices}",
        what="{devices}.",
        why="The hypervisor imitates such a chip register by register: each packet costs several exits from the guest.",
        effect="A paravirtual device ({better}) needs a fraction of the CPU and has several queues.",
        risk="The interface may get another name; keep console access.",
        unless="the guest has no driver for {better}",
    ),
    Words(
        title="模拟网卡：{devices}",
        what="{devices}。",
        why="虚拟机管理程序逐寄存器模拟该芯片：每个数据包都要多次退出虚拟机。",
        effect="半虚拟化网卡（{better}）只需很小一部分 CPU，并支持多队列。",
        risk="接口名称可能改变；请保留控制台访问。",
        unless="系统没有 {better} 的驱动",
    ),
    "QEMU documentation on network devices; zero-copy article (D)",
    (
        "SR-IOV passes a real device to the guest where the provider offers it",
        "vhost-net is the host's side of virtio",
    ),
)
OFFLOADS = Knowledge(
    Words(
        title="Device offloads: {reasons}",
        what="Seen: {reasons}.",
        why="Without checksum offload the CPU sums every byte; LRO merges packets that a router must pass on unchanged.",
        effect="Less CPU per byte; with LRO off, forwarded TCP no longer stalls.",
        risk="A few virtual devices compute wrong checksums: check a capture at the peer afterwards.",
        unless="it was switched off on purpose for a known driver fault",
    ),
    Words(
        title="网卡卸载设置：{reasons}",
        what="所见：{reasons}。",
        why="没有校验和卸载时 CPU 要逐字节计算；LRO 会合并本应原样转发的数据包。",
        effect="每字节 CPU 更少；关闭 LRO 后，转发的 TCP 不再停顿。",
        risk="少数虚拟网卡会算错校验和：之后请在对端抓包确认。",
        unless="因已知驱动缺陷而有意关闭",
    ),
    "kernel Documentation/networking/checksum-offloads.rst, segmentation-offloads.rst; articles (B, D). GRO and TSO are not judged without a before/after measurement",
)
