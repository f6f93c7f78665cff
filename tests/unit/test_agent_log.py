"""A log line can be read by people and taken apart by machines, whatever is in it."""

import json
import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.log import JsonLines, Logfmt, configure

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "=]+)(?: |$)')


def record(msg="probe failed", exception=None, **extra):
    exc_info = exception and (type(exception), exception, None)
    made = logging.LogRecord("agent.runner", logging.WARNING, "f.py", 1, msg, None, exc_info)
    vars(made).update(extra)
    made.created = 1_800_000_000.25
    return made


def logfmt_pairs(line):
    """key → value of one logfmt line; fails where the line is not logfmt."""
    found, at = {}, 0
    while at < len(line):
        match = PAIR.match(line, at)
        assert match, line[at:]
        found[match[1]] = json.loads(match[2]) if match[2].startswith('"') else match[2]
        at = match.end()
    return found


def test_a_plain_line():
    """The exact form: time in UTC, level, source, message, then what belongs to it."""
    line = Logfmt().format(record(peer="nyc", error='it\'s "broken"'))
    assert line == (
        "time=2027-01-15T08:00:00.250Z level=WARNING source=agent.runner"
        ' msg="probe failed" peer=nyc error="it\'s \\"broken\\""'
    )


@given(st.text(), st.text())
def test_any_text_stays_one_line_that_parses_back(msg, value):
    """Newlines, quotes, control characters and equals signs in a value cannot forge another line or key."""
    made = record("%s", peer=value)
    made.args = (msg,)
    line = Logfmt().format(made)
    assert len(line.splitlines()) == 1
    pairs = logfmt_pairs(line)
    assert pairs["msg"] == msg
    assert pairs["peer"] == value
    document = json.loads(JsonLines().format(made))
    assert (document["msg"], document["peer"]) == (msg, value)
    assert len(JsonLines().format(made).splitlines()) == 1


def test_a_traceback_is_a_value_of_its_line():
    """A bug's traceback does not tear the log apart."""
    line = Logfmt().format(record(exception=ValueError("no\nway")))
    assert logfmt_pairs(line)["traceback"].endswith("ValueError: no\nway")


@pytest.mark.parametrize(("form", "start"), [("logfmt", "time="), ("json", "{")])
def test_configured_logging_goes_to_standard_error(form, start, capsys, monkeypatch):
    """Level and form as asked; a second call replaces the first."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure("info", "logfmt")
    configure("warning", form)
    logging.getLogger("agent.x").info("hidden")
    logging.getLogger("agent.x").warning("shown", extra={"surrogate": "\udc80"})
    sys.stderr.flush()
    said = capsys.readouterr().err
    assert said.startswith(start)
    assert said.count("\n") == 1
    assert "shown" in said
