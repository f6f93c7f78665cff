"""The words of what only the fleet's view can tell, in English and Chinese: findings fill the {placeholders}."""

from agent.advice.finding import Words
from agent.advice.rule import Knowledge

RELAY = Knowledge(
    Words(
        title="A relay is faster than the direct path: {destination} over {via}, {gain} less",
        what="Direct P99 to {destination} {direct}; over {via} {total}: {first} + {second} + {forwarding} of forwarding."
        " {count} of this node's paths have such a relay.",
        why="The direct route takes a detour that two other routes together do not: routing follows contracts, not distance.",
        effect="About {gain} ({ratio}) less at P99 to {destination}; what was estimated is the sum of both legs' P99.",
        risk="{via} becomes a machine that can fail and carries every byte twice, in and out{price}; it sees the traffic"
        " unless that is encrypted end to end.",
        unless="{via}'s transfer allowance does not cover the traffic, or both legs are slow at other times than measured",
    ),
    Words(
        title="经中转更快：到 {destination} 经 {via}，可减少 {gain}",
        what="到 {destination} 直连 P99 为 {direct}；经 {via} 为 {total}：{first} + {second} + 转发 {forwarding}。"
        "本节点有 {count} 条路径存在这样的中转。",
        why="直连路由绕行，而另外两条路由合起来更短：路由取决于商业合同而非距离。",
        effect="到 {destination} 的 P99 约减少 {gain}（{ratio}）；估算值为两段 P99 之和。",
        risk="{via} 成为新的故障点，每个字节在其上进出各计一次{price}；若未端到端加密，它能看到流量。",
        unless="{via} 的流量额度不足，或两段路径在其他时段变慢",
    ),
    "the measured matrix; Andersen et al., Resilient Overlay Networks (SOSP 2001); container tuning article (A)",
)
HUB = Knowledge(
    Words(
        title="The best hub for a star is {node}: worst spoke {worst}",
        what="P99 between {node} and its farthest spoke {farthest}: {worst}, on average {mean}, over {spokes} spokes.{compared}",
        why="In a star every exchange between spokes passes the hub, so its worst spoke bounds them all.",
        effect="No spoke is farther than {worst} at P99 from the hub, no two spokes farther than twice that apart.",
        risk="The hub carries all traffic between spokes and is one point of failure.",
        unless="spokes talk mostly to near neighbours: a mesh then is faster",
    ),
    Words(
        title="星形拓扑的最佳中心是 {node}：最远分支 {worst}",
        what="{node} 与最远分支 {farthest} 之间的 P99 为 {worst}，平均 {mean}，共 {spokes} 个分支。{compared}",
        why="星形拓扑中分支间的流量都经过中心，因此最远的分支决定上限。",
        effect="任何分支到中心的 P99 不超过 {worst}，任意两个分支之间不超过其两倍。",
        risk="中心承载分支间的全部流量，是单点故障。",
        unless="分支主要与邻近节点通信：此时网状拓扑更快",
    ),
    "the measured matrix; container tuning article (A)",
)
DRIFT = Knowledge(
    Words(
        title="Slow, unlike its siblings; likeliest: {reason}",
        what="{node} shows {symptoms}; its {count} healthy siblings ({basis}) do not. It differs in {differences}: {list}.",
        why="With the same image and role, what differs is the likeliest cause; first of all {first}: {reason}.",
        effect="Alike in this, it should measure like its siblings; `effect` will tell.",
        risk="A difference is no proof: change one at a time.",
        unless="the difference is meant: then say so by another role in the fleet file",
    ),
    Words(
        title="比同类节点慢，最可能的原因：{reason}",
        what="{node} 表现为 {symptoms}；{count} 个健康的同类节点（{basis}）则没有。差异 {differences} 处：{list}。",
        why="镜像和角色相同时，差异之处最可能是原因；首先是 {first}：{reason}。",
        effect="消除该差异后，测量结果应与同类节点一致；可用 `effect` 验证。",
        risk="差异不等于证据：每次只改一项。",
        unless="差异是有意的：请在 fleet 文件中使用另一角色",
    ),
    "facts of the fleet; slow-node article (E)",
)
OVERLAY_COST = Knowledge(
    Words(
        title="The overlay to {server} adds {p99} at P99",
        what="{overlay} against {server}, the same server: {p50} at P50, {p99} at P99, {loss} percentage points of loss{rate}."
        " {costly} of {count} overlay paths from here cost more than 10% and 5 ms, half a point of loss, or a fifth of the"
        " throughput.",
        why="Headers cost about 2% (overlay-kind); more than that comes from encryption on a slow CPU, packets that do not fit,"
        " or another route.",
        effect="What is measured here is what another overlay, or none, could save.",
        risk="None; this only says where to look: its MTU first.",
        unless="the overlay's encryption is needed: then look for a CPU with AES, not for another overlay",
    ),
    Words(
        title="到 {server} 的隧道在 P99 增加 {p99}",
        what="{overlay} 与 {server}（同一服务器）对比：P50 {p50}，P99 {p99}，丢包 {loss} 个百分点{rate}。"
        "本节点 {count} 条隧道路径中有 {costly} 条超出 10% 且 5 ms、半个百分点丢包或五分之一吞吐。",
        why="头部开销仅约 2%（overlay-kind）；更多的开销来自慢 CPU 上的加密、放不下的数据包或不同的路由。",
        effect="此处测得的即为更换或取消隧道可节省的上限。",
        risk="无；仅指出应检查之处：先查 MTU。",
        unless="确需隧道加密：应选择支持 AES 的 CPU，而非更换隧道",
    ),
    "both ways to the same server, measured; articles on socket tuning and container models (A, B, C)",
)
CHANGE_HARMED = Knowledge(
    Words(
        title="A change did harm: {figures}",
        what="Since {time} ({changed}): {figures}, by {touched} touched paths against {controls} untouched ones.",
        why="The same hours of the day before and after, with what befell the untouched paths taken out, leave this change.",
        effect="Undone, the figures should return to what they were: {before}.",
        risk="What the change was for is lost again.",
        unless="the harm is the price of something worth more, which this cannot weigh",
    ),
    Words(
        title="变更造成了损害：{figures}",
        what="自 {time}（{changed}）起：{figures}；{touched} 条受影响路径与 {controls} 条未受影响路径对比。",
        why="按一天中的相同时段比较前后，并扣除未受影响路径的共同变化，剩下的即为该变更的影响。",
        effect="撤销后，指标应恢复到原值：{before}。",
        risk="该变更原本的目的也随之丧失。",
        unless="该损害是为更重要的目标付出的代价，本工具无法权衡",
    ),
    "before and after with control paths: difference in differences",
)
CHANGE_JUDGED = Knowledge(
    Words(
        title="A change was judged: {outcome}",
        what="Since {time} ({changed}): {figures}, by {touched} touched paths against {controls} untouched ones.",
        why="Whether a change helped is known only from before and after, with the paths it did not touch beside it.",
        effect="Nothing is left to do.",
        risk="None.",
        unless="",
    ),
    Words(
        title="变更已评估：{outcome}",
        what="自 {time}（{changed}）起：{figures}；{touched} 条受影响路径与 {controls} 条未受影响路径对比。",
        why="变更是否有效，只能由前后对比并参照未受影响的路径得知。",
        effect="无需操作。",
        risk="无。",
        unless="",
    ),
    "before and after with control paths: difference in differences",
)
SYMPTOMS_ZH = {
    "delay": "时延高",
    "loss": "丢包或重传",
    "mtu": "大包不通",
    "throughput": "吞吐低",
}
OUTCOMES_ZH = {"helped": "有效", "no effect": "无影响", "harmed": "有害", "cannot tell yet": "尚无法判断"}
