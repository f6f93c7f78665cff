"""Words for the rules of agent.advice.rules.mtu, overlays, paths and endpoints."""

from agent.advice.finding import Words
from agent.advice.rule import Knowledge

PATH_MTU = Knowledge(
    Words(
        title="Paths carry less than the interface sends: {smallest} instead of {own}",
        what="Measured path MTU: {paths}; the interface has {own}.",
        why="The first large packet of every new destination is lost until a router's report arrives; UDP is fragmented or dropped.",
        effect="No packet is lost to learn what is already measured.",
        risk="A smaller interface MTU costs {smallest}-byte packets on every path.",
        unless="only some destinations are affected: then set it on their routes",
    ),
    Words(
        title="路径 MTU 小于接口 MTU：{smallest} 而非 {own}",
        what="实测路径 MTU：{paths}；接口为 {own}。",
        why="每个新目的地的第一个大包都会丢失，直到收到路由器通知；UDP 会被分片或丢弃。",
        effect="不必再靠丢包去得知已测得的结果。",
        risk="接口 MTU 变小后，所有路径都用 {smallest} 字节的包。",
        unless="只有部分目的地受影响：应改在其路由上设置",
    ),
    "RFC 1191, RFC 8201; articles on container models and the slow node (C, E)",
)
PMTU_BLACK_HOLE = Knowledge(
    Words(
        title="PMTU black hole: large packets vanish without a word",
        what="Measured: {paths}. Larger packets are dropped and no ICMP comes back.",
        why="Connections open and small requests work, then transfers hang; it shows as timeouts and retransmissions.",
        effect="With the MSS clamped to {mss}, TCP never sends a packet that does not fit.",
        risk="The clamp only helps TCP; QUIC, VPNs and other UDP need the MTU on the route.",
        unless="the path's MTU is about to be repaired by the provider: then ask first",
    ),
    Words(
        title="PMTU 黑洞：大包被悄悄丢弃",
        what="实测：{paths}。更大的包被丢弃且没有 ICMP 返回。",
        why="连接能建立、小请求正常，随后传输卡住；表现为超时与重传。",
        effect="将 MSS 限制为 {mss} 后，TCP 不会再发送放不下的包。",
        risk="MSS 限制只对 TCP 有效；QUIC、VPN 等 UDP 需要在路由上设置 MTU。",
        unless="服务商即将修复该路径：请先询问",
    ),
    "RFC 2923 section 2.1, RFC 4821; socket tuning article (B)",
)
MTU_PROBING = Knowledge(
    Words(
        title="TCP does not look for a packet size that fits",
        what="net.ipv4.tcp_mtu_probing is 0, and large packets vanish on the path to {paths}.",
        why="With 1, the kernel tries smaller segments after repeated timeouts (RFC 4821) instead of hanging.",
        effect="Hanging transfers go on after some timeouts, with smaller segments.",
        risk="It hides the cause, and costs seconds each time: the overlay's or route's MTU comes first.",
        unless="the MTU is already repaired",
    ),
    Words(
        title="TCP 不会主动探测可用的包长",
        what="net.ipv4.tcp_mtu_probing 为 0，而到 {paths} 的大包会消失。",
        why="设为 1 后，内核在多次超时后尝试更小的段（RFC 4821），而不是一直卡住。",
        effect="卡住的传输在几次超时后以更小的段继续。",
        risk="它会掩盖原因，且每次要花数秒：应先修正隧道或路由的 MTU。",
        unless="MTU 已经修复",
    ),
    "RFC 4821; kernel Documentation/networking/ip-sysctl.rst; slow-node article (E)",
)
OVERLAY_MTU = Knowledge(
    Words(
        title="Overlay MTU does not fit: {first}",
        what="{reasons}.",
        why="A packet too large for the underlay is fragmented or dropped after encapsulation, {bytes} bytes at stake; inner"
        " connections then hang or retransmit.",
        effect="Every inner packet fits into one outer packet.",
        risk="Existing pods and peers keep their MTU until they are restarted; both ends must agree.",
        unless="the underlay's MTU is about to be raised",
    ),
    Words(
        title="隧道（overlay）MTU 不匹配：{first}",
        what="{reasons}。",
        why="封装后超过底层 MTU 的包会被分片或丢弃（相差 {bytes} 字节）；内层连接会卡住或重传。",
        effect="每个内层包恰好装入一个外层包。",
        risk="已有的 Pod 与对端在重启前仍用旧 MTU；两端必须一致。",
        unless="底层 MTU 即将调大",
    ),
    "RFC 7348 section 4.3, RFC 8926; Calico and Cilium MTU documentation; articles (A, E)",
    (
        "a service-mesh sidecar adds no bytes per packet but two more sockets per connection (Envoy pools, Istio keepalive)",
    ),
)
OVERLAY_KIND = Knowledge(
    Words(
        title="{kind} headers take {own_share} of each packet",
        what="{interface} adds {own} bytes; IP in IP would add {lean}, on an underlay of {mtu}.",
        why="Header arithmetic: {own_share} against {lean_share}. Articles claim 12% to 30%; the headers give {saving}.",
        effect="At most {saving} more payload per packet. Claim more only from a measured pair of nodes.",
        risk="IP in IP carries no Ethernet and no port numbers: some networks filter it or hash it on one queue.",
        unless="the overlay needs layer 2, or encryption",
    ),
    Words(
        title="{kind} 封装头占每个包的 {own_share}",
        what="{interface} 增加 {own} 字节；IPIP 增加 {lean} 字节，底层 MTU 为 {mtu}。",
        why="按封装头计算：{own_share} 对 {lean_share}。文章声称 12% 至 30%；封装头只能带来 {saving}。",
        effect="每包有效载荷最多增加 {saving}。更大的收益须以实测的节点对为准。",
        risk="IPIP 不承载以太网帧也没有端口号：部分网络会过滤它或将其哈希到同一队列。",
        unless="需要二层网络或加密",
    ),
    "header sizes (RFC 7348, RFC 2003); articles (A, B, C)",
)
P99_OVER_FLOOR = Knowledge(
    Words(
        title="P99 round trip is {ratio} times the floor to {path}",
        what="P99 {p99} against a floor of {floor} to {path}; {count} of {of} paths are over their limit.",
        why="Where it comes from: {causes}.",
        effect="The provider can change routing or capacity; the report shows the figures that hold in a dispute.",
        risk="None.",
        unless="the stated location of a node is wrong: lightfloor-collector audit tells",
    ),
    Words(
        title="到 {path} 的 P99 往返时延是理论下限的 {ratio} 倍",
        what="到 {path} 的 P99 为 {p99}，下限 {floor}；{of} 条路径中有 {count} 条超限。",
        why="来源：{causes}。",
        effect="服务商可以调整路由或容量；报告给出经得起争议的数据。",
        risk="无。",
        unless="节点申报的位置有误：可用 lightfloor-collector audit 检查",
    ),
    "docs/verdicts.md; container tuning article (A)",
)
ROUTE_CHANGE = Knowledge(
    Words(
        title="The route changed: {paths}",
        what="Route changes in this time: {paths}.",
        why="It explains steps of round trip and MTU at that time; load-balanced alternatives are not counted.",
        effect="Nothing to change here.",
        risk="None.",
        unless="nothing was slow at that time",
    ),
    Words(
        title="路由发生变化：{paths}",
        what="此期间的路由变化：{paths}。",
        why="可解释当时往返时延与 MTU 的阶跃；负载均衡的备选路径不计入。",
        effect="无需修改。",
        risk="无。",
        unless="当时没有变慢",
    ),
    "trace probe (docs/probes.md); socket tuning article (B)",
)
QOS = Knowledge(
    Words(
        title="Round trips swell under load to {path}: {idle} to {loaded}",
        what="Median {idle} idle, {loaded} while this node's own bandwidth test ran.",
        why="A queue without management fills up in front of the slowest link, and everything else waits behind it.",
        effect="Shaped just below the bottleneck ({rate}), the queue stays on this host, where cake keeps it short.",
        risk="5% less throughput; the rate must be measured again when the plan changes.",
        unless="the bottleneck is not this node's own link",
    ),
    Words(
        title="到 {path} 的往返时延在负载下膨胀：{idle} 升至 {loaded}",
        what="空闲时中位数 {idle}，本机带宽测试期间 {loaded}。",
        why="最慢链路前的无管理队列被填满，其余流量都排在后面。",
        effect="整形到略低于瓶颈（{rate}）后，队列留在本机，由 cake 保持很短。",
        risk="吞吐减少 5%；套餐变更后须重新测量。",
        unless="瓶颈不在本机链路",
    ),
    "tc-cake(8), RFC 8290; container tuning article (A)",
)
IPV6 = Knowledge(
    Words(
        title="IPv4 and IPv6 differ: {reasons}",
        what="Seen: {reasons}.",
        why="Each family takes its own route. Switching IPv6 off breaks dual-stack peers; preferring one family does not.",
        effect="New connections use the family that measures better.",
        risk="The preference holds for every destination.",
        unless="the difference is gone in the last day's windows",
    ),
    Words(
        title="IPv4 与 IPv6 表现不同：{reasons}",
        what="所见：{reasons}。",
        why="两种地址族各走各的路由。关闭 IPv6 会影响双栈对端；设置优先级则不会。",
        effect="新连接使用实测更好的地址族。",
        risk="该优先级对所有目的地生效。",
        unless="最近一天的窗口中差异已消失",
    ),
    "RFC 6724, gai.conf(5); container tuning article (A), whose advice to turn IPv6 off is not followed",
)
TLS_KEY = Knowledge(
    Words(
        title="TLS handshakes cost more than they must: {reasons}",
        what="{reasons}. Handshake with {path}: {handshake}, {trips} round trips.",
        why="On long paths round trips dominate: TLS 1.3 needs one, 1.2 two, resumption saves the certificate's bytes. An ECDSA"
        " key saves CPU and bytes, not round trips.",
        effect="One round trip less with TLS 1.3; smaller first flight with ECDSA P-256.",
        risk="Clients older than about 2015 may not speak ECDSA or TLS 1.3: keep 1.2 beside it.",
        unless="the peer is not yours to configure",
    ),
    Words(
        title="TLS 握手代价过高：{reasons}",
        what="{reasons}。与 {path} 握手：{handshake}，{trips} 个往返。",
        why="长路径上以往返次数为主：TLS 1.3 需一次，1.2 需两次，会话恢复可省去证书传输。ECDSA 节省 CPU 与字节，但不减少往返。",
        effect="TLS 1.3 少一次往返；ECDSA P-256 使首批数据更小。",
        risk="2015 年以前的客户端可能不支持 ECDSA 或 TLS 1.3：请同时保留 1.2。",
        unless="对端不由你配置",
    ),
    "RFC 8446; container tuning article (A: ECDSA halves the handshake), true of CPU only",
)
UDP_KEEPALIVE = Knowledge(
    Words(
        title="NAT forgets idle UDP mappings after {lifetime}",
        what="Measured lifetime of a mapping: {lifetime}.",
        why="After that, what the peer sends is dropped until this node speaks again.",
        effect="A packet every {interval} s keeps the mapping: half of its lifetime, at most 30 s.",
        risk="One small packet per {interval} s and peer.",
        unless="the peer never speaks first",
    ),
    Words(
        title="NAT 在空闲 {lifetime} 后遗忘 UDP 映射",
        what="实测映射寿命：{lifetime}。",
        why="此后对端发来的数据会被丢弃，直到本机再次发送。",
        effect="每 {interval} 秒发一个包即可保持映射：寿命的一半，至多 30 秒。",
        risk="每个对端每 {interval} 秒一个小包。",
        unless="对端从不先发",
    ),
    "RFC 4787 section 4.3; socket tuning article (B)",
)
REJECT_DROP = Knowledge(
    Words(
        title="Closed ports stay silent: {paths}",
        what="Ports that are not open give no answer at {paths}.",
        why="DROP hides the host from scans a little; clients that try such a port wait for a timeout instead of failing at once.",
        effect="With REJECT (tcp reset) a wrong port fails within one round trip.",
        risk="An RST tells that the host is there.",
        unless="silence is wanted",
    ),
    Words(
        title="关闭的端口不作应答：{paths}",
        what="{paths} 上未开放的端口没有任何应答。",
        why="DROP 能略微躲避扫描；但误连该端口的客户端要等到超时，而不是立即失败。",
        effect="使用 REJECT（tcp reset）时，错误端口在一个往返内即失败。",
        risk="RST 会暴露主机存在。",
        unless="有意保持静默",
    ),
    "RFC 9293 section 3.5.2; container tuning article (A: DROP instead of REJECT)",
)
