"""iperf3's output, whole or in events, as one document; or the reason it is not the output of a finished run.

Only text becomes values here; what the values mean is iperf3_report's business. iperf3 exits 0 on most failures when
it prints JSON (3.12), so the output alone decides: anything but exactly one complete report raises ParseError.
Layouts: src/iperf_api.c iperf_json_finish (one object), JSONStream_Output (one event per line, since 3.17).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from agent.kernel.parse_error import ParseError

SOURCE = "iperf3"
_LONGEST_REASON = 300

_BARE_NUMBER = re.compile(r"(:\s*)[-+]?(?:nan|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
"""The cJSON of iperf 3.0 and 3.1 prints printf's nan and inf, which is no JSON."""

_SPACE = re.compile(r"\s*")
_TEXT_ERROR = re.compile(r"^iperf3?: (?:parameter )?(?:error - |interrupt - )?(.+)$", re.MULTILINE)
_ONCE = ("start", "end", "error", "server_output_json", "server_output_text")


def read_document(data: bytes) -> dict[str, Any]:
    """The finished run's {"start": …, "intervals": […], "end": …}. Raises ParseError for everything else."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if not text:
        raise ParseError(
            SOURCE, "byte 0", "no output: iperf3 was killed before it could report, or never ran"
        )
    if not text.startswith("{"):
        raise _not_json(text)
    documents = _documents(_BARE_NUMBER.sub(r"\1null", text))
    first = documents[0]
    if "event" in first:
        first = _from_events(documents)
    elif len(documents) > 1:
        raise ParseError(SOURCE, "document 2", f"{len(documents)} reports in one output; one run prints one")
    _refuse_unfinished(first)
    return first


def _not_json(text: str) -> ParseError:
    match = _TEXT_ERROR.search(text)
    if match:
        return ParseError(
            SOURCE,
            f"line {text.count(chr(10), 0, match.start()) + 1}",
            match.group(1).strip()[:_LONGEST_REASON],
        )
    return ParseError(SOURCE, "line 1", "plain text, not JSON; run iperf3 with -J", text.splitlines()[0])


def _documents(text: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    documents: list[dict[str, Any]] = []
    at = 0
    while at < len(text):
        begin = at
        try:
            value, at = decoder.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            raise _broken(text, error, len(documents)) from error
        except (RecursionError, ValueError) as error:
            raise ParseError(SOURCE, f"byte {at}", f"JSON that no iperf3 prints ({error})") from error
        if not isinstance(value, dict):
            raise ParseError(SOURCE, f"byte {begin}", "a JSON object was expected", str(value))
        documents.append(value)
        at += len(_SPACE.match(text, at).group())  # type: ignore[union-attr]  # matches everywhere
    return documents


def _broken(text: str, error: json.JSONDecodeError, before: int) -> ParseError:
    where = f"line {error.lineno}"
    if before:
        return ParseError(
            SOURCE, where, f"more output after {before} complete JSON value(s)", text[error.pos :]
        )
    if not text[error.pos :].strip() or "Unterminated" in error.msg or len(text) - error.pos < 8:
        return ParseError(SOURCE, where, "truncated: the output ends inside the report", text[-40:])
    return ParseError(SOURCE, where, f"not JSON: {error.msg}", text[error.pos :])


def _from_events(events: list[dict[str, Any]]) -> dict[str, Any]:
    """--json-stream's events as the document that -J would have printed.

    --json-stream-full-output appends that document itself, which then says nothing new.
    """
    document: dict[str, Any] = {"intervals": []}
    for number_of_event, event in enumerate(events, 1):
        kind = event.get("event")
        if kind == "interval":
            document["intervals"].append(event.get("data"))
        elif kind in _ONCE and kind not in document:
            document[kind] = event.get("data")
        elif "event" in event:
            raise ParseError(
                SOURCE, f"event {number_of_event}", "an unknown event, or one of a second run", str(kind)
            )
    return document


def _refuse_unfinished(document: Mapping[str, Any]) -> None:
    intervals = document.get("intervals")
    done = len(intervals) if isinstance(intervals, list) else 0
    partial = f" (after {done} intervals)" if done else ""
    error = document.get("error")
    if error is not None:
        reason = str(error)[:_LONGEST_REASON].strip().removeprefix("error - ") or "failed without a reason"
        raise ParseError(SOURCE, "error", f"{reason}{partial}")
    if not isinstance(document.get("start"), dict):
        raise ParseError(SOURCE, "start", "missing: not a report of iperf3")
    if not isinstance(document.get("end"), dict):
        raise ParseError(SOURCE, "end", f"missing: the run did not finish{partial}")
    if not document["end"]:
        raise ParseError(SOURCE, "end", f"empty: the run did not finish{partial}")
