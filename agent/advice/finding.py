"""What a rule found: observed values, the exact change, how to undo it, and why, in English and Chinese."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Severity(StrEnum):
    """critical: the host or a path is broken; warning: it costs performance now; info: worth knowing, nothing is wrong."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


class Confidence(StrEnum):
    """high: measured directly; medium: follows from what was measured; low: one sign among others that are not known."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Observed(msgspec.Struct, frozen=True):
    """One value that a finding rests on. source: file, counter or measurement; time_s: when, None where not known."""

    name: str
    value: Any
    source: str
    time_s: int | None = None


class Words(msgspec.Struct, frozen=True):
    """One finding in one language. what: what is observed; why: why it matters; effect: what the change should bring.

    risk: what the change may break; unless: when not to apply it.
    """

    title: str
    what: str
    why: str
    effect: str
    risk: str
    unless: str


class Sysctl(msgspec.Struct, frozen=True, tag="sysctl"):
    """Set a kernel parameter. was: the value in force, as text; None where it is not known."""

    key: str
    value: str
    was: str | None = None


class Command(msgspec.Struct, frozen=True, tag="command"):
    """Run a command as root, at once and again at each boot. undo: the command that takes it back; None: none is needed.

    check: a command that succeeds where nothing is left to do, so that a script can run twice.
    """

    run: str
    undo: str | None = None
    check: str | None = None


class Stanza(msgspec.Struct, frozen=True, tag="stanza"):
    """Lines for a file that an operator edits by hand: a network plugin's or a service's configuration."""

    file: str
    lines: str
    was: str | None = None


class Measurement(msgspec.Struct, frozen=True, tag="measurement"):
    """The measurement that would decide what to change. It changes nothing itself."""

    run: str


class Request(msgspec.Struct, frozen=True, tag="request"):
    """What to ask of somebody else, the provider mostly, in both languages."""

    en: str
    zh: str


Step = Sysctl | Command | Stanza | Measurement | Request


class Note(msgspec.Struct, frozen=True):
    """A remark that a guard or another finding adds. withholds: the change is not written to files to apply."""

    en: str
    zh: str
    withholds: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's finding on one node. id is the rule's, so (id, node) is stable.

    steps: the change, in order; empty where there is nothing to do. persistent: how the change outlives a reboot,
    undo: how it is taken back; both follow from the steps. preference: better but not broken, so that an
    administrator's own setting is left alone. subjects: interfaces, destinations or parameters that it is about.
    """

    id: str
    node: str
    severity: Severity
    confidence: Confidence
    evidence: tuple[Observed, ...]
    words: dict[Language, Words]
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    source: str = ""
    further: tuple[str, ...] = ()
    preference: bool = False
    subjects: tuple[str, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether its change is kept out of files to apply."""
        return any(note.withholds for note in self.notes)

    def as_json(self, language: Language = "en") -> dict[str, Any]:
        """The object of `advise --json`: texts in one language, the change both as text and as steps."""
        words = self.words[language]
        return {
            "id": self.id,
            "severity": self.severity.value,
            "confidence": self.confidence.value,
            "node": self.node,
            "title": words.title,
            "what": words.what,
            "why": words.why,
            "evidence": msgspec.to_builtins(self.evidence),
            "change": change_text(self.steps, language) or None,
            "persistent": persistent_text(self.steps, language) or None,
            "undo": undo_text(self.steps, language) or None,
            "expected_effect": words.effect,
            "risk": words.risk,
            "do_not_apply_if": words.unless,
            "notes": [getattr(note, language) for note in self.notes],
            "withheld": self.withheld,
            "source": self.source,
            "further_reading": list(self.further),
            "subjects": list(self.subjects),
            "steps": msgspec.to_builtins(self.steps),
        }


SYSCTL_FILE = "/etc/sysctl.d/90-lightfloor.conf"

_BY_HAND: Mapping[Language, str] = {"en": "by hand: edit {file}", "zh": "手工编辑 {file}"}
_SYSCTL_FILE: Mapping[Language, str] = {
    "en": "write to {file}: {line}",
    "zh": "写入 {file}：{line}",
}
_AT_BOOT: Mapping[Language, str] = {
    "en": "at each boot, as the interface's post-up or a oneshot unit: {command}",
    "zh": "每次启动时执行（接口的 post-up 或 oneshot 单元）：{command}",
}
_UNKNOWN_BEFORE: Mapping[Language, str] = {
    "en": "{key}: set it back to the value from before",
    "zh": "{key}：恢复为修改前的值",
}


def change_text(steps: tuple[Step, ...], language: Language) -> str:
    """What to do, one line for each step."""
    return "\n".join(_change(step, language) for step in steps)


def _change(step: Step, language: Language) -> str:
    match step:
        case Sysctl():
            return f"{step.key} = {step.value}"
        case Command() | Measurement():
            return step.run
        case Stanza():
            return f"# {step.file}\n{step.lines}"
        case Request():
            return str(getattr(step, language))


def persistent_text(steps: tuple[Step, ...], language: Language) -> str:
    """How it outlives a reboot; measurements and requests to others need nothing."""
    lines = []
    for step in steps:
        match step:
            case Sysctl():
                line = f"{step.key} = {step.value}"
                lines.append(_SYSCTL_FILE[language].format(file=SYSCTL_FILE, line=line))
            case Command():
                lines.append(_AT_BOOT[language].format(command=step.run))
            case Stanza():
                lines.append(_BY_HAND[language].format(file=step.file))
            case Measurement() | Request():
                continue
    return "\n".join(lines)


def undo_text(steps: tuple[Step, ...], language: Language) -> str:
    """How to take it back, last step first."""
    lines = []
    for step in reversed(steps):
        match step:
            case Sysctl(key=key, was=None):
                lines.append(_UNKNOWN_BEFORE[language].format(key=key))
            case Sysctl():
                lines.append(f"{step.key} = {step.was}")
            case Command(undo=str() as undo):
                lines.append(undo)
            case Stanza(was=str() as was):
                lines.append(f"# {step.file}\n{was}")
            case _:
                continue
    return "\n".join(lines)
