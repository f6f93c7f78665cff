import json
import logging

from collector.logs import JsonLines, Logfmt


def record(**extra):
    made = logging.LogRecord("collector.ingest", logging.WARNING, "f", 1, "batch %s", ("refused",), None)
    vars(made).update(extra)
    return made


def test_logfmt_is_one_line_whatever_the_values():
    """Spaces, quotes and line ends in a value cannot forge a second line or key."""
    line = Logfmt().format(record(node="ams", reason='bad "x"\nlevel=INFO', empty=""))
    assert line.startswith("time=")
    assert line.endswith(
        r'level=WARNING source=collector.ingest msg="batch refused" node=ams reason="bad \"x\"\nlevel=INFO" empty=""'
    )
    assert "\n" not in line


def test_json_lines_hold_the_same_fields():
    """The other format loses nothing."""
    fields = json.loads(JsonLines().format(record(node="ams")))
    assert (fields["level"], fields["msg"], fields["node"]) == ("WARNING", "batch refused", "ams")
    assert fields["time"].endswith("Z")
