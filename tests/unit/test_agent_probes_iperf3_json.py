import json

import pytest

from agent.kernel.parse_error import ParseError
from agent.probes.iperf3_json import read_document

DOCUMENT = {"start": {"version": "iperf 3.17"}, "intervals": [{"sum": {}}], "end": {"streams": []}}


def events(*pairs):
    return "\n".join(json.dumps({"event": kind, "data": data}) for kind, data in pairs).encode()


WHOLE = (("start", DOCUMENT["start"]), ("interval", DOCUMENT["intervals"][0]), ("end", DOCUMENT["end"]))


def test_one_object_and_its_events_are_one_document():
    """-J and --json-stream; what the server adds does not disturb; a byte-order mark and blank lines neither."""
    assert read_document(b"\xef\xbb\xbf\n" + json.dumps(DOCUMENT).encode() + b"\n\n") == DOCUMENT
    assert read_document(events(*WHOLE)) == DOCUMENT
    assert read_document(events(*WHOLE[:2], ("server_output_text", "x"), WHOLE[2]))["end"] == DOCUMENT["end"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (events(*WHOLE[:2]), r"end: missing: the run did not finish \(after 1 intervals\)"),
        (events(*WHOLE[:2], ("error", "busy"), WHOLE[2]), r"error: busy \(after 1 intervals\)"),
        (events(*WHOLE, WHOLE[0]), "event 4: an unknown event, or one of a second run: 'start'"),
        (events(*WHOLE[:1], ("surprise", 1)), "event 2: an unknown event"),
        (b'{"event": []}', "event 1: an unknown event"),
        (json.dumps(DOCUMENT | {"error": ""}).encode(), "failed without a reason"),
        (json.dumps(DOCUMENT | {"error": "x" * 9999}).encode(), r"^.{300,400}$"),
        (
            b"iperf3: parameter error - some option you are trying to set is client only\n\nUsage:",
            "client only",
        ),
        (b'{"start": {}, "end": {"a": 1}} [', "more output after 1 complete"),
        (b'{"start": {}, "end": {"a": 1}} 5', "byte 31: a JSON object was expected"),
    ],
)
def test_anything_but_one_finished_run_is_refused(data, reason):
    """With iperf3's own reason where it gave one, at most a few hundred characters of it."""
    with pytest.raises(ParseError, match=reason):
        read_document(data)
