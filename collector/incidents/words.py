"""An incident in a line, in English and Chinese. Data and formatting only."""

from collector.incidents.attribution import Cause, CauseKind
from collector.incidents.breach import Kind
from collector.incidents.incident import Incident
from collector.incidents.steps import Step

KINDS = {
    "en": {Kind.LATENCY: "slow", Kind.LOSS: "loss", Kind.MTU: "MTU drop"},
    "zh": {Kind.LATENCY: "变慢", Kind.LOSS: "丢包", Kind.MTU: "MTU 变小"},
}
CAUSES = {
    "en": {
        CauseKind.PATH: "path", CauseKind.DIRECTION: "direction", CauseKind.LEG: "one of several equal ways",
        CauseKind.OVERLAY: "overlay", CauseKind.OWN_HOST: "own host", CauseKind.NODE: "node", CauseKind.SITE: "site",
        CauseKind.PROVIDER: "provider", CauseKind.REGION_PAIR: "regions", CauseKind.PROVIDER_PAIR: "providers",
        CauseKind.REGION: "region",
    },
    "zh": {
        CauseKind.PATH: "路径", CauseKind.DIRECTION: "单方向", CauseKind.LEG: "多条等价线路之一",
        CauseKind.OVERLAY: "叠加网络", CauseKind.OWN_HOST: "自有主机", CauseKind.NODE: "节点", CauseKind.SITE: "机房",
        CauseKind.PROVIDER: "服务商", CauseKind.REGION_PAIR: "地区之间", CauseKind.PROVIDER_PAIR: "服务商之间",
        CauseKind.REGION: "地区",
    },
}  # fmt: skip
WAYS = {"en": {"out": "outbound", "in": "inbound"}, "zh": {"out": "出向", "in": "入向"}}
_COMMA = {"en": ", ", "zh": "，"}
_LINE = {"en": "{cause}: {kind}, {magnitude}; {seen}", "zh": "{cause}：{kind}，{magnitude}；{seen}"}
_SEEN = {
    "en": "{broken} of {measured} paths, seen by {seeing} of {measuring} sources",
    "zh": "{measured} 条路径中 {broken} 条，{measuring} 个测量点中 {seeing} 个看到",
}
_NO_ANSWER = {"en": "no answer", "zh": "无应答"}
_LOST = {"en": "{ratio:.3g}% lost", "zh": "{ratio:.3g}%"}
_USUALLY = {"en": "{now} bytes, usually {usual}", "zh": "{now} 字节，平时 {usual}"}
_STEP = {
    "en": "{cause}: fastest round trip {change:+,.1f} ms on {paths} of {measured} paths",
    "zh": "{cause}：最快往返 {change:+,.1f} ms，{measured} 条路径中 {paths} 条",
}
DOWN_RATIO = 0.99


def cause_words(cause: Cause, language: str = "en") -> str:
    """For example: provider birch, outbound."""
    said = f"{CAUSES[language][cause.kind]} {cause.name}"
    return _COMMA[language].join([said, WAYS[language][cause.direction]] if cause.direction else [said])


def also_words(cause: Cause, language: str = "en") -> str:
    """The causes that no measurement tells apart from this one; empty where there are none."""
    split = (each.partition(" ") for each in cause.also)
    return _COMMA[language].join(f"{CAUSES[language][CauseKind(kind)]} {name}" for kind, _, name in split)


def magnitude_words(incident: Incident, language: str = "en") -> str:
    """How bad: the slowdown, the share lost, or the MTU."""
    if incident.excess_seconds is not None:
        return f"{incident.excess_seconds * 1e3:+,.1f} ms"
    if incident.loss_ratio is not None:
        if incident.loss_ratio >= DOWN_RATIO:
            return _NO_ANSWER[language]
        return _LOST[language].format(ratio=incident.loss_ratio * 100)
    return _USUALLY[language].format(now=incident.path_mtu_bytes, usual=incident.usual_path_mtu_bytes or "?")


def seen_words(incident: Incident, language: str = "en") -> str:
    """How many paths and vantage points agree."""
    return _SEEN[language].format(
        broken=incident.broken_paths,
        measured=incident.measured_paths,
        seeing=incident.sources_seeing,
        measuring=incident.sources_measuring,
    )


def in_a_line(incident: Incident, language: str = "en") -> str:
    """For example: provider birch: slow, +43.9 ms; 138 of 138 paths, seen by 15 of 15 sources."""
    return _LINE[language].format(
        cause=cause_words(incident.cause, language),
        kind=KINDS[language][incident.kind],
        magnitude=magnitude_words(incident, language),
        seen=seen_words(incident, language),
    )


def step_in_a_line(step: Step, language: str = "en") -> str:
    """For example: node sin-b: fastest round trip +32.0 ms on 8 of 8 paths."""
    return _STEP[language].format(
        cause=cause_words(step.cause, language),
        change=step.change_seconds * 1e3,
        paths=len(step.paths),
        measured=step.measured_paths,
    )
