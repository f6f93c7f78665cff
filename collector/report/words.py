"""The report's texts in English and Chinese, and numbers and dates in each one's form. Data: no logic but formatting.

Every key stands in both languages with the same placeholders; a test holds that.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

LANGUAGES = ("en", "zh")
FONTS = {
    "en": "DejaVu Sans, sans-serif",
    "zh": "WenQuanYi Micro Hei, Noto Sans CJK SC, Source Han Sans SC, sans-serif",
}

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Network report: {provider}, {month}",
        "period": "{start} to {end}, times in {zone}",
        "incomplete": "The month is not over: these figures will change.",
        "summary": "Summary",
        "kept": "{passed} of {proven} paths with enough data kept what was promised.",
        "broken": "{broken} of {proven} paths with enough data broke it.",
        "unproven": "{count} further paths have no proven verdict: too little data, too close together, or a stated location that cannot be right.",
        "worst": "Worst path: {source} → {destination}, P99 {p99}, limit {limit}.",
        "excluded": "{hours} path hours do not count: the measuring host itself disturbed them, or work was announced.",
        "verdicts": "Verdict of each path",
        "shortened": "The {shown} that stand worst of {all} paths; all of them are in report.html and paths.csv.",
        "source": "from", "destination": "to", "probe": "probe", "verdict": "verdict", "p50": "P50", "p99": "P99",
        "floor": "light in fibre", "limit": "limit", "ratio": "P99 ÷ light", "loss": "loss", "samples": "samples",
        "over": "over limit", "budget": "allowance left", "excluded_minutes": "excluded min", "reason": "why",
        "matrix": "All paths at a glance",
        "matrix_note": "Rows send, columns receive. The number is P99 divided by light in fibre.",
        "drawn_note": "Rows send, columns receive. Green: promise kept; red: broken; yellow: not proven; violet: faster than light, so a location is wrong.",
        "days": "P99 by day against the limit",
        "days_note": "One line for each path that broke its promise, the worst first; days are UTC. A gap is a day without data.",
        "week": "When it was slow",
        "week_note": "Share of samples above the limit by hour of the week in {zone}, over all paths of this report.",
        "weekdays": "Mon Tue Wed Thu Fri Sat Sun",
        "criteria": "Loss, availability, MTU and retransmits",
        "criterion": "promise", "value": "measured", "promised": "promised",
        "no_criteria": "Nothing but latency was promised on these paths.",
        "exclusions": "What does not count",
        "no_exclusions": "Every measured minute counts.",
        "announced": "Announced work", "from": "begins", "until": "ends", "announced_by": "announced",
        "fleet_file": "inventory file", "by": "{when} by {who}", "late": "only after it had begun",
        "minutes_note": "Minutes are path minutes: work of one hour on three paths is 180. Overlapping work counts once, for the window listed first.",
        "disturbed": "Minutes that the measuring host disturbed itself",
        "budgets": "Allowance of slow samples",
        "budgets_note": "Share of samples within the limit, and how much of the allowance (100% less the objective) is left: below 0 it is overdrawn. The {count} paths with the least left; budget.csv has all.",
        "within": "within limit", "objective": "objective", "allowed": "allowed", "left": "left",
        "no_budgets": "No sample was compared with a limit.",
        "versions": "Changes of contract",
        "versions_note": "Each version is judged over its own time; the worst verdict stands.",
        "class": "class", "no_class": "none",
        "minutes": "minutes", "worst_figure": "worst",
        "incidents": "Incidents",
        "incidents_note": "Breaches joined over time and over the mesh, each blamed on the one cause that explains most of its paths and fewest sound ones; who else it cannot be told apart from is said. Our own hosts are named as well.",
        "no_incidents": "No path left its usual ways for long enough to be an incident.",
        "incident_count": "Incidents on these paths: {count}.",
        "excused": "Explained by announced work",
        "steps": "Steps in the fastest round trip",
        "steps_note": "The fastest of each hour stayed on another level for hours: a route changed or a machine moved.",
        "start": "from", "end": "to", "lasts": "lasts", "what": "what", "how_bad": "how bad", "cause": "cause", "seen": "seen by",
        "also": "Cannot be told apart from {names}.",
        "comes_back": "Comes back at these hours, {count} times: {times}.",
        "worst_paths": "Worst paths, then and usually: {paths}.",
        "changes": "Changes near its start: {changes}.",
        "retransmits": "Retransmitted {now}, in the hour before {before}.",
        "stepped": "The fastest samples were slow too: a longer route, not a fuller queue.",
        "own_flags": "The host itself: {flags}.",
        "limit_broken": "Over the limit.", "limit_kept": "Within the limit.",
        "method_incidents": "Incidents: in blocks of five minutes the samples slower than a path's usual (median of seven good days plus 8% and 1 ms, or four times its spread) or over its limit, and lost probes, are compared with their usual share; blocks in a row that are together less probable than 1 in 10^10 make an episode, and episodes that began together are explained by the fewest causes.",
        "events": "Changes seen",
        "no_events": "No route, MTU or certificate change was seen.",
        "time": "time", "event": "event",
        "scorecard": "Comparison of providers",
        "regions": "Comparison of regions",
        "group": "group", "paths": "paths", "median_ratio": "median P99 ÷ light", "static": "median route inflation", "dynamic": "median queueing inflation",
        "method": "How it was measured",
        "method_probe": "An agent on each server opens TCP connections (and sends the other probes named above) at fixed times, whatever the answers. TCP times are the kernel's own, from SYN to SYN-ACK; a connection whose SYN was sent again counts as loss, not as a slow sample.",
        "method_floor": "Light in fibre: twice the WGS-84 geodesic between the stated places × 1.468 ÷ c, unless a cable length is stated. The limit is a multiple of it plus an allowance.",
        "method_statistics": "A path passes or fails only where an exact one-sided binomial test at 95% says so; samples that cluster in the same minutes count as fewer. Percentiles come from histograms whose buckets are 2.2% wide, so each is within 1.1% of the exact one.",
        "method_clock": "Round trips need no common clock. Minutes in which the measuring host's CPU was stolen or throttled, its clock stepped or it ran a bandwidth test are left out and listed above.",
        "limits": "What these data cannot say",
        "limits_text": "A round trip does not tell which direction was slow, nor which network on the way; one probe in seconds does not see shorter outages; a path is judged between the stated places, and a wrong place makes its verdict wrong. P99 over several days is not the mean of daily ones.",
        "raw": "{rows} stored rows, SHA-256 {digest}",
        "raw_title": "Raw data",
        "page": "Page",
    },
    "zh": {
        "title": "网络报告：{provider}，{month}",
        "period": "{start} 至 {end}，时区 {zone}",
        "incomplete": "本月尚未结束，数字还会变化。",
        "summary": "摘要",
        "kept": "数据充足的 {proven} 条路径中，{passed} 条达到承诺。",
        "broken": "数据充足的 {proven} 条路径中，{broken} 条未达到承诺。",
        "unproven": "另有 {count} 条路径无法定论：数据太少、距离太近，或所称位置不可能正确。",
        "worst": "最差路径：{source} → {destination}，P99 {p99}，上限 {limit}。",
        "excluded": "{hours} 路径小时不计入：测量主机自身受到干扰，或事先公告的维护。",
        "verdicts": "各路径结论",
        "shortened": "仅列 {all} 条路径中最差的 {shown} 条；全部见 report.html 与 paths.csv。",
        "source": "起点", "destination": "终点", "probe": "探测", "verdict": "结论", "p50": "P50", "p99": "P99",
        "floor": "光纤极限", "limit": "上限", "ratio": "P99 ÷ 极限", "loss": "丢包", "samples": "样本",
        "over": "超限", "budget": "剩余余量", "excluded_minutes": "剔除分钟", "reason": "原因",
        "matrix": "全部路径一览",
        "matrix_note": "行为发送方，列为接收方；数字为 P99 除以光纤极限。",
        "drawn_note": "行为起点，列为终点。绿：守约；红：违约；黄：未能证明；紫：快于光速，位置有误。",
        "days": "每日 P99 与上限",
        "days_note": "未达标的路径各一条线，最差在前；按 UTC 日。断开处为无数据的日子。",
        "week": "何时变慢",
        "week_note": "本报告全部路径中超过上限的样本比例，按一周各小时统计，时区 {zone}。",
        "weekdays": "周一 周二 周三 周四 周五 周六 周日",
        "criteria": "丢包、可用性、MTU 与重传",
        "criterion": "承诺项", "value": "实测", "promised": "承诺值",
        "no_criteria": "这些路径只承诺了延迟。",
        "exclusions": "不计入的时间",
        "no_exclusions": "全部测得的分钟均计入。",
        "announced": "公告的维护", "from": "开始", "until": "结束", "announced_by": "公告",
        "fleet_file": "清单文件", "by": "{when}，{who}", "late": "开始之后才公告",
        "minutes_note": "分钟数为路径分钟：三条路径各一小时计 180。重叠的维护只计一次，归于最先列出的一项。",
        "disturbed": "测量主机自身干扰的分钟",
        "budgets": "慢样本余量",
        "budgets_note": "不超过上限的样本比例，以及余量（100% 减去目标）还剩多少；小于 0 为超支。列出余量最少的 {count} 条路径；全部见 budget.csv。",
        "within": "未超限", "objective": "目标", "allowed": "允许", "left": "剩余",
        "no_budgets": "没有样本与上限比较过。",
        "versions": "合同变更",
        "versions_note": "每个版本按其自身时段判断；以最差结论为准。",
        "class": "等级", "no_class": "无",
        "minutes": "分钟", "worst_figure": "最差值",
        "incidents": "事件",
        "incidents_note": "把各路径的异常按时间和网络合并，每个事件归于一个原因：它解释最多的异常路径、最少的正常路径；无法区分的其他原因一并写明。我方主机的原因同样列出。",
        "no_incidents": "没有路径偏离常态到足以构成事件。",
        "incident_count": "涉及这些路径的事件：{count} 个。",
        "excused": "由事先公告的维护解释",
        "steps": "最快往返时间的阶跃",
        "steps_note": "各小时最快往返时间持续数小时停在另一水平：路由改变，或机器迁移。",
        "start": "开始", "end": "结束", "lasts": "仍在持续", "what": "现象", "how_bad": "程度", "cause": "原因", "seen": "佐证",
        "also": "无法与下列原因区分：{names}。",
        "comes_back": "在相同时段重复出现 {count} 次：{times}。",
        "worst_paths": "最差路径（当时，平时）：{paths}。",
        "changes": "开始前后的变化：{changes}。",
        "retransmits": "重传 {now}，此前一小时 {before}。",
        "stepped": "最快的样本也变慢：路由变长，而不是排队变多。",
        "own_flags": "主机自身：{flags}。",
        "limit_broken": "超过上限。", "limit_kept": "未超过上限。",
        "method_incidents": "事件：以五分钟为一段，比较慢于该路径常态（七个正常日的中位数加 8% 与 1 毫秒，或其离散程度的四倍）或超过上限的样本以及丢失的探测与其平时比例；连续各段合计概率小于 10 的 10 次方分之一即成一段异常，同时开始的异常用最少的原因解释。",
        "events": "观察到的变化",
        "no_events": "未观察到路由、MTU 或证书变化。",
        "time": "时间", "event": "事件",
        "scorecard": "服务商比较",
        "regions": "地区比较",
        "group": "分组", "paths": "路径", "median_ratio": "P99 ÷ 极限（中位）", "static": "路由膨胀（中位）", "dynamic": "排队膨胀（中位）",
        "method": "测量方法",
        "method_probe": "每台服务器上的代理在固定时刻建立 TCP 连接（并发送上文所列其他探测），与应答快慢无关。TCP 时间取自内核，从 SYN 到 SYN-ACK；重发过 SYN 的连接计为丢包，而不是慢样本。",
        "method_floor": "光纤极限：所称地点间 WGS-84 测地线长度的两倍 × 1.468 ÷ c，除非另给出光缆长度。上限为其倍数加余量。",
        "method_statistics": "只有单侧 95% 的精确二项检验成立，路径才判为达标或未达标；集中在同一分钟的样本按更少的独立样本计。百分位数来自桶宽 2.2% 的直方图，与精确值相差不超过 1.1%。",
        "method_clock": "往返时间不需要共同时钟。测量主机 CPU 被占用或限流、时钟跳变、或正在做带宽测试的分钟不计入，并列于上文。",
        "limits": "这些数据不能说明什么",
        "limits_text": "往返时间不能说明哪个方向慢，也不能说明途中哪个网络慢；数秒一次的探测看不到更短的中断；路径按所称地点判断，地点错误则结论错误。多日的 P99 不是每日 P99 的平均。",
        "raw": "{rows} 行存储数据，SHA-256 {digest}",
        "raw_title": "原始数据",
        "page": "第",
    },
}  # fmt: skip

VERDICTS = {
    "en": {
        "PASS": "kept", "FAIL": "broken", "NOT_PROVEN": "not proven", "NO_DATA": "no data",
        "UNACHIEVABLE": "cannot be kept", "TOO_CLOSE": "too close", "IMPLAUSIBLE": "location wrong",
    },
    "zh": {
        "PASS": "达标", "FAIL": "未达标", "NOT_PROVEN": "无法定论", "NO_DATA": "无数据",
        "UNACHIEVABLE": "无法达到", "TOO_CLOSE": "距离太近", "IMPLAUSIBLE": "位置有误",
    },
}  # fmt: skip


def number(value: float | None, digits: int = 0) -> str:
    """With thousands apart, as both languages write it; a dash for what is not known."""
    return "–" if value is None else f"{value:,.{digits}f}"


def milliseconds(seconds: float | None) -> str:
    """12.3 ms."""
    return "–" if seconds is None else f"{seconds * 1e3:,.{1 if seconds >= 0.001 else 3}f} ms"


def percent(ratio: float | None, digits: int = 2) -> str:
    """1.25%."""
    return "–" if ratio is None else f"{ratio * 100:,.{digits}f}%"


def moment(time_s: int, zone: str, language: str) -> str:
    """A time of the report's zone with its offset."""
    local = datetime.fromtimestamp(time_s, ZoneInfo(zone))
    if language == "zh":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local.day} {local:%B %Y %H:%M}"


def seconds_of(text: str) -> int:
    """Unix seconds of a time of the document, ISO 8601."""
    return int(datetime.fromisoformat(text).timestamp())


def month_name(name: str, language: str) -> str:
    """October 2026, 2026年10月."""
    first = datetime.strptime(name, "%Y-%m")  # noqa: DTZ007 - a month has no zone
    return f"{first.year}年{first.month}月" if language == "zh" else f"{first:%B %Y}"
