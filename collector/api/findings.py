"""GET /v1/findings: what is advised now, as `advise --json`."""

from typing import Any, Literal

import msgspec

from agent.advice.finding import Language
from agent.wire.series import Name
from collector.api.operation import Operation, Paging, get
from collector.live_advice import LiveAdvice
from collector.problem import ProblemError


class FindingParameters(Paging, frozen=True, kw_only=True):
    """GET /v1/findings; by the last 24 hours."""

    node: Name | None = None
    severity: Literal["any", "info", "warning", "critical"] = "any"
    rule: Name | None = None
    language: Language = msgspec.field(default="en", name="lang")


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
                {503: "no advice has been made yet"},
            )
        ]

    async def findings(self, asked: FindingParameters) -> list[dict[str, Any]]:
        """Raises ProblemError, 503, before the first advice."""
        snapshot = self._advice.latest
        if snapshot is None:
            raise ProblemError(503, "no advice has been made yet; ask again in a minute")
        return [
            finding.as_json(asked.language)
            for finding in snapshot.findings
            if asked.node in (None, finding.node)
            and asked.severity in ("any", finding.severity.value)
            and asked.rule in (None, finding.id)
        ]
