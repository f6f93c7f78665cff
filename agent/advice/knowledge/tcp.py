"""Words for the rules of agent.advice.rules.tcp and buffers."""

from agent.advice.finding import Words
from agent.advice.rule import Knowledge

SACK = Knowledge(
    Words(
        title="TCP selective acknowledgement is off",
        what="net.ipv4.tcp_sack is 0.",
        why="After a loss the sender learns of one hole per round trip instead of all at once, so every burst of losses"
        " costs several round trips.",
        effect="With n losses in one window, recovery takes about 1 round trip instead of n.",
        risk="None known; it is the kernel's default since 2.4.",
        unless="a middlebox on the path breaks SACK options, which you have seen in a capture",
    ),
    Words(
        title="TCP 选择性确认（SACK）已关闭",
        what="net.ipv4.tcp_sack 为 0。",
        why="丢包后发送端每个往返只能得知一个缺口，而不是一次得知全部，因此连续丢包需要多个往返才能恢复。",
        effect="一个窗口内丢 n 个段时，恢复时间由约 n 个往返降为约 1 个。",
        risk="未知有风险；这是内核自 2.4 起的默认值。",
        unless="抓包证实路径上的中间设备会破坏 SACK 选项",
    ),
    "RFC 2018; container tuning article (A)",
)
WINDOW_SCALING = Knowledge(
    Words(
        title="TCP window scaling is off: {ceiling} per connection at most",
        what="net.ipv4.tcp_window_scaling is 0, so no window passes 65535 bytes.",
        why="A connection cannot carry more than 64 KiB per round trip: {ceiling} at {rtt}.",
        effect="The ceiling goes away; buffers (tcp_rmem, tcp_wmem) become the limit.",
        risk="Only new connections use it.",
        unless="an old firewall on the path drops connections with the option, which you have seen in a capture",
    ),
    Words(
        title="TCP 窗口扩大已关闭：每条连接最多 {ceiling}",
        what="net.ipv4.tcp_window_scaling 为 0，窗口无法超过 65535 字节。",
        why="每个往返最多传输 64 KiB：往返时延 {rtt} 时即 {ceiling}。",
        effect="该上限消失，改由缓冲区（tcp_rmem、tcp_wmem）决定。",
        risk="仅对新连接生效。",
        unless="抓包证实路径上的旧防火墙会丢弃带该选项的连接",
    ),
    "RFC 7323 section 2; articles on container and socket tuning (A, B)",
)
SLOW_START_AFTER_IDLE = Knowledge(
    Words(
        title="Connections start over after each pause on long paths",
        what="net.ipv4.tcp_slow_start_after_idle is 1 and the longest path has {rtt}.",
        why="After one retransmission timeout of silence the congestion window falls back to its initial 10 segments; growing"
        " back to {window} takes about {trips} round trips, {lost}.",
        effect="Up to {lost} less for the first large answer after a pause on a kept-alive connection.",
        risk="A burst after idle can overrun a queue that has filled meanwhile.",
        unless="connections are short-lived, so that none is ever idle",
    ),
    Words(
        title="长路径上的连接每次空闲后都要重新慢启动",
        what="net.ipv4.tcp_slow_start_after_idle 为 1，最长路径往返时延 {rtt}。",
        why="空闲一个重传超时后，拥塞窗口退回初始的 10 个段；恢复到 {window} 个段约需 {trips} 个往返，即 {lost}。",
        effect="长连接空闲后的第一个大响应最多可快 {lost}。",
        risk="空闲后的突发可能冲满此间已变拥挤的队列。",
        unless="连接都是短连接，不存在空闲",
    ),
    "RFC 5681 section 4.1, RFC 7661; socket tuning article (B)",
    (
        "TCP_CORK and sendfile() let a program send full segments after a pause",
        "keep-alive pools of a service mesh (Envoy, Istio)",
    ),
)
CONGESTION_CONTROL = Knowledge(
    Words(
        title="{in_use} on a long path with loss: BBR would carry more",
        what="{in_use} is in use; the path to {path} has {rtt} and loses {loss}. The queueing discipline is {qdisc}.",
        why="A loss-based sender cannot pass MSS ÷ RTT × 1.22 ÷ √loss (Mathis): {limit} per connection here, with an MSS of {mss}.",
        effect="BBR follows the measured bandwidth instead of each loss; up to about 15% loss the {limit} ceiling no longer"
        " holds. By how much it helps here only a before/after comparison tells (lightfloor-collector effect).",
        risk="BBR takes more than its share beside loss-based senders, and can raise retransmissions in shallow queues.",
        unless="the link is shared with traffic that must not suffer, or the kernel's BBR is older than 4.20 and fq cannot be set",
    ),
    Words(
        title="长且有丢包的路径上使用 {in_use}：BBR 可传得更多",
        what="当前使用 {in_use}；到 {path} 的往返时延 {rtt}，丢包 {loss}。排队规则为 {qdisc}。",
        why="基于丢包的算法速率不超过 MSS ÷ RTT × 1.22 ÷ √丢包率（Mathis 公式）：MSS 为 {mss} 时每条连接 {limit}。",
        effect="BBR 依据实测带宽而非每次丢包；丢包约 15% 以内不再受 {limit} 限制。实际收益须用前后对比确认（lightfloor-collector effect）。",
        risk="BBR 与基于丢包的流量竞争时会占得更多，浅缓冲下可能增加重传。",
        unless="链路与不可受影响的流量共享，或内核 BBR 早于 4.20 且无法使用 fq",
    ),
    "Mathis et al. 1997; Cardwell et al. 2016 (BBR); articles on socket tuning (B: +20%) and container models (C: +40%), claims not reproduced",
)
RETRANSMITS = Knowledge(
    Words(
        title="{ratio} of TCP segments are retransmitted",
        what="Worst ratio {ratio}, with {peers}.",
        why="Above 5% throughput collapses and the tail of latency grows. Of the kinds: {kind}.",
        effect="Below 5% a loss-based sender's rate grows with 1 ÷ √loss.",
        risk="The measurement sends 500 small packets.",
        unless="the traffic is a few short connections; ratios below 1000 segments are noise and not shown",
    ),
    Words(
        title="{ratio} 的 TCP 段被重传",
        what="最高重传率 {ratio}，对端 {peers}。",
        why="超过 5% 后吞吐骤降、尾部时延变大。按类型：{kind}。",
        effect="降到 5% 以下后，基于丢包的发送速率按 1 ÷ √丢包率 增长。",
        risk="该测量会发送 500 个小包。",
        unless="流量只有少量短连接；不足 1000 段的比率属噪声，不予显示",
    ),
    "RFC 6298, RFC 8985; kernel Documentation/networking/snmp_counter.rst; container tuning article (A)",
)
TCP_BUFFERS = Knowledge(
    Words(
        title="TCP buffers do not fit: {reasons}",
        what="Seen: {reasons}. Largest bandwidth-delay product of a path: {bdp}. Sockets limited by window or buffer: {limited}.",
        why="A connection carries at most one window per round trip; and what tcp_rmem's or tcp_wmem's first two numbers"
        " give, every socket takes from {memory} of memory.",
        effect="Maximum {largest}: twice the largest product, at least 4 MiB, at most 1/32 of the memory. Minimum and default as"
        " the kernel has them, so auto-tuning uses memory only where it pays.",
        risk="Many fast connections at once use more memory: watch tcp_mem's pressure.",
        unless="sockets are not limited by their buffers: more buffer only adds queueing delay",
    ),
    Words(
        title="TCP 缓冲区不合适：{reasons}",
        what="所见：{reasons}。各路径最大带宽时延积：{bdp}。受窗口或缓冲限制的套接字：{limited}。",
        why="每条连接每个往返最多传一个窗口；而 tcp_rmem、tcp_wmem 前两个值会让每个套接字占用 {memory} 内存中的一份。",
        effect="上限 {largest}：最大带宽时延积的两倍，至少 4 MiB，至多内存的 1/32。最小值与默认值保持内核默认，仅在需要时自动增长。",
        risk="同时有大量高速连接时占用更多内存：请关注 tcp_mem 压力。",
        unless="套接字并未受缓冲区限制：更大的缓冲只会增加排队时延",
    ),
    "kernel Documentation/networking/ip-sysctl.rst; ESnet fasterdata; socket tuning, zero-copy and slow-node articles (B, D, E)",
    ("zero copy (sendfile, io_uring) saves CPU, not windows",),
)
TCP_MEM = Knowledge(
    Words(
        title="TCP memory limit is {state}",
        what="net.ipv4.tcp_mem allows {limit}, {share} of {memory}.",
        why="Beyond the limit the kernel prunes receive queues and drops connections; a limit above half of the memory lets TCP"
        " push everything else out before it acts.",
        effect="Pressure sets in before the host runs out of memory, and not earlier than needed.",
        risk="More for TCP is less for programs.",
        unless="the host does nothing but forward TCP",
    ),
    Words(
        title="TCP 内存限制{state}",
        what="net.ipv4.tcp_mem 允许 {limit}，占 {memory} 内存的 {share}。",
        why="超过限制时内核会裁剪接收队列并断开连接；限制超过内存一半，则 TCP 会先挤占其他程序。",
        effect="在主机内存耗尽之前、且不过早地触发压力控制。",
        risk="TCP 用得多，程序可用的就少。",
        unless="本机只做 TCP 转发",
    ),
    "kernel Documentation/networking/ip-sysctl.rst (tcp_mem, in pages); container tuning article (A), whose values are 1, 2 and 4 GiB",
)
SWAPPINESS = Knowledge(
    Words(
        title="vm.swappiness is {value}",
        what="vm.swappiness is {value}; swapping: {swapped}.",
        why="A network program whose pages were swapped out answers milliseconds later.",
        effect="The kernel drops file cache before it swaps programs out.",
        risk="Less file cache for disk-heavy programs.",
        unless="the host is meant to swap (much idle memory, fast swap)",
    ),
    Words(
        title="vm.swappiness 为 {value}",
        what="vm.swappiness 为 {value}；换页：{swapped}。",
        why="网络程序的内存页被换出后，响应会晚数毫秒。",
        effect="内核优先回收文件缓存，而不是换出程序。",
        risk="重磁盘程序的文件缓存变少。",
        unless="本机有意使用交换区（大量空闲内存、快速交换设备）",
    ),
    "kernel Documentation/admin-guide/sysctl/vm.rst; container tuning article (A)",
)
