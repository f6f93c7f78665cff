"""Command-line flags made from a probe's options, so that a probe declares each option once."""

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. name: the option's field; arguments: what argparse needs beside flag and help."""

    name: str
    flag: str
    help: str
    arguments: dict[str, Any]


def probe_flags(options: type[msgspec.Struct]) -> list[Flag]:
    """One flag for each field; booleans take no value, the rest are text that the options check.

    A tuple's flag is given once for each of its values.
    """
    described = msgspec.inspect.type_info(options)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"{options.__name__} is not a struct")
    flags = []
    for field in described.fields:
        hint, text = field.type, ""
        if isinstance(hint, msgspec.inspect.Metadata):
            text = str((hint.extra_json_schema or {}).get("description", ""))
            hint = hint.type
        boolean = isinstance(hint, msgspec.inspect.BoolType)
        several = isinstance(hint, msgspec.inspect.VarTupleType)
        arguments: dict[str, Any] = (
            {"action": "store_true", "default": None} if boolean else {"metavar": "VALUE"}
        )
        if several:
            arguments["action"] = "append"
        flags.append(Flag(field.name, "--" + field.name.replace("_", "-"), text, arguments))
    return flags
