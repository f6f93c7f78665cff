"""Typed values out of JSON that a foreign program printed: what is absent is None, what is wrong names its place."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.kernel.parse_error import ParseError


@dataclass(frozen=True, slots=True)
class JsonReader:
    """Reads records of one source. where: the path of the record, as it will stand in the error."""

    source: str

    def document(self, text: str, where: str = "document") -> dict[str, Any]:
        """text as one JSON object. Raises ParseError for anything else."""
        try:
            value = json.loads(text, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            raise ParseError(self.source, where, f"not JSON: {error}", text.lstrip()) from None
        if not isinstance(value, dict):
            raise ParseError(self.source, where, "a JSON object was expected", text)
        return value

    def number(self, record: Mapping[str, Any], key: str, where: str) -> float | None:
        """record[key] as a finite number, also out of a string; None where absent, null or not finite."""
        value = record.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ParseError(self.source, f"{where}.{key}", "a number was expected", str(value))
        try:
            figure = float(value)
        except (ValueError, OverflowError):
            raise ParseError(self.source, f"{where}.{key}", "a number was expected", str(value)) from None
        if math.isfinite(figure) and abs(figure) >= 1 << 63:
            raise ParseError(self.source, f"{where}.{key}", "a number beyond 64 bits", str(value))
        return figure if math.isfinite(figure) else None

    def count(self, record: Mapping[str, Any], key: str, where: str) -> int | None:
        """record[key] as a whole number ≥ 0; None where absent or negative, a common mark for unknown."""
        value = self.number(record, key, where)
        return None if value is None or value < 0 else int(value)

    def text(self, record: Mapping[str, Any], key: str) -> str | None:
        """record[key] if it is a string that says something."""
        value = record.get(key)
        return value if isinstance(value, str) and value else None

    def section(self, record: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
        """record[key] as an object, empty where absent. Raises ParseError for anything else."""
        value = record.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ParseError(self.source, f"{where}.{key}", "an object was expected", str(value))
        return value

    def sections(self, record: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
        """record[key] as a list of objects, empty where absent. Raises ParseError for anything else."""
        value = record.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ParseError(self.source, f"{where}.{key}", "a list of objects was expected", str(value))
        return value
