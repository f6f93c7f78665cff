"""Configuration text to a typed value, or one line that says what is wrong, where, and what would be right.

Shared by agent.toml, collector.toml and fleet.toml. No IO: the caller reads the file and names it.
"""

import difflib
import re
import tomllib
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that is refused. where: file name; key: key path inside it, "" for the file as a whole."""

    def __init__(self, where: str, key: str, problem: str) -> None:
        self.where = where
        self.key = key
        self.problem = problem
        super().__init__(f"{where}: {key}: {problem}" if key else f"{where}: {problem}")


def decode_toml(text: str, model: type[T], where: str) -> T:
    """The TOML document as an instance of model (a msgspec.Struct that forbids unknown fields).

    Raises ConfigError with the key path as the user wrote it, for example `peers[0].port`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where, "", f"not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(where, "", "not a configuration: nested too deep") from error
    return convert(document, model, where)


def convert(document: Any, model: type[T], where: str, prefix: str = "", *, strict: bool = True) -> T:
    """Plain values as an instance of model. Raises ConfigError; prefix goes before each key path.

    strict False also takes numbers written as text, as a command line gives them.
    """
    try:
        return msgspec.convert(document, model, strict=strict)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        inside = path.removesuffix("`").removeprefix("$").removeprefix(".")
        key = prefix + inside if inside else prefix.removesuffix(".")
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message)
        if unknown:
            name = unknown.group(1)
            message = f"unknown key{_suggestion(name, _fields_at(model, path))}"
            key = f"{key}.{name}" if key else name
        missing = re.fullmatch(r"Object missing required field `(.*)`", message)
        if missing:
            message = "required key is missing"
            key = f"{key}.{missing.group(1)}" if key else missing.group(1)
        if message.startswith("Invalid enum value"):
            message += _one_of(_hint_at(model, path))
        raise ConfigError(where, key.replace("[...]", ".*"), _plain(message)) from error


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:].replace("`", "")


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _one_of(hint: Any) -> str:
    """The values of a Literal or an enum, also where None is allowed beside it."""
    for each in (hint, *getattr(hint, "__args__", ())):
        if get_origin(each) is Literal:
            return f"; one of {', '.join(map(str, get_args(each)))}"
        if isinstance(each, type) and issubclass(each, Enum):
            return f"; one of {', '.join(str(member.value) for member in each)}"
    return ""


def _fields_at(model: Any, path: str) -> list[str]:
    """Field names of the struct that a msgspec error path such as `$.peers[0].probes[...]` leads to."""
    struct = _struct_in(_hint_at(model, path))
    return [field.encode_name for field in msgspec.structs.fields(struct)] if struct else []


def _hint_at(model: Any, path: str) -> Any:
    """The type annotation there, None where the path leaves what is known."""
    here = model
    for name, index in re.findall(r"\.([\w-]+)|(\[[^\]]*\])", path.removesuffix("`")):
        here = _struct_in(here) if name else here
        if name and here is not None:
            names = {field.encode_name: field.name for field in msgspec.structs.fields(here)}
            here = get_type_hints(here).get(names.get(name, name))
        elif index:
            here = next((a for a in reversed(getattr(here, "__args__", ())) if a is not Ellipsis), None)
    return here


def _struct_in(hint: Any) -> Any:
    """The struct itself, or the one inside `X | None` or Annotated."""
    candidates = [hint, *getattr(hint, "__args__", ())]
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None
