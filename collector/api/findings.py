"""GET /v1/findings and /v1/diagnoses: what is advised now, as `advise --json`, and the stories that findings tell together."""

from typing import Any, Literal

import msgspec

from agent.advice.finding import Language
from agent.wire.series import Name
from collector.advice.diagnosis import Story
from collector.api.operation import Operation, Paging, get
from collector.live_advice import AdviceSnapshot, LiveAdvice
from collector.problem import ProblemError

UNMADE = {503: "no advice has been made yet"}


class FindingParameters(Paging, frozen=True, kw_only=True):
    """GET /v1/findings; by the last 24 hours."""

    node: Name | None = None
    severity: Literal["any", "info", "warning", "critical"] = "any"
    rule: Name | None = None
    language: Language = msgspec.field(default="en", name="lang")


class DiagnosisParameters(Paging, frozen=True, kw_only=True):
    """GET /v1/diagnoses; by the last 24 hours."""

    node: Name | None = None


class FindingsApi:
    """Answers from the latest advice: nothing is computed for a request."""

    def __init__(self, advice: LiveAdvice) -> None:
        self._advice = advice

    def operations(self) -> list[Operation]:
        """For the API."""
        return [
            get(
                "/v1/findings",
                "What is wrong now, what to change and how to undo it, gravest first, as `advise --json`",
                FindingParameters,
                list[dict[str, Any]],
                self.findings,
                UNMADE,
            ),
            get(
                "/v1/diagnoses",
                "What is wrong on each node, its likely causes with what speaks for and against them, as `advise --diagnose`",
                DiagnosisParameters,
                list[Story],
                self.diagnoses,
                UNMADE,
            ),
        ]

    async def findings(self, asked: FindingParameters) -> list[dict[str, Any]]:
        """Raises ProblemError, 503, before the first advice."""
        return [
            finding.as_json(asked.language)
            for finding in self._latest().findings
            if asked.node in (None, finding.node)
            and asked.severity in ("any", finding.severity.value)
            and asked.rule in (None, finding.id)
        ]

    async def diagnoses(self, asked: DiagnosisParameters) -> list[Story]:
        """Raises ProblemError, 503, before the first advice."""
        return [story for story in self._latest().stories if asked.node in (None, story.node)]

    def _latest(self) -> AdviceSnapshot:
        snapshot = self._advice.latest
        if snapshot is None:
            raise ProblemError(503, "no advice has been made yet; ask again in a minute")
        return snapshot
