"""The provider's metadata, from fakes of the services on this host."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.hostfacts import collect
from agent.net.cloud_metadata import cloud_metadata


@contextmanager
def service(answers):
    """A fake service. answers: (method, path, header that must be sent or None) → status and body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            asked.append(self.path)
            for (method, path, header), (status, body) in answers.items():
                if (method, path) == (self.command, self.path) and (
                    header is None or self.headers.get(header)
                ):
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", body)
                    self.end_headers()
                    self.wfile.write(body.encode())
                    return
            self.send_error(404)

        do_GET = do_PUT = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


DOCUMENT = {
    "instanceType": "m5.large",
    "region": "ap-east-1",
    "availabilityZone": "ap-east-1a",
    "accountId": "1",
}
AWS = {
    ("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds"): (200, "TOKEN"),
    ("GET", "/latest/dynamic/instance-identity/document", "X-aws-ec2-metadata-token"): (
        200,
        json.dumps(DOCUMENT),
    ),
}
GCE_PATH = "/computeMetadata/v1/instance/?recursive=true"
GCE_ANSWER = {"machineType": "projects/1/machineTypes/e2-small", "zone": "projects/1/zones/asia-east2-a"}


def test_aws_with_a_session_token():
    """Type, region and zone; the account is not asked for."""
    with service(AWS) as (url, _):
        assert cloud_metadata(url) == {
            "provider": "aws",
            "instance_type": "m5.large",
            "region": "ap-east-1",
            "zone": "ap-east-1a",
        }


def test_google_needs_its_header_and_gives_paths():
    """The last part of Google's resource paths is the name."""
    with service({("GET", GCE_PATH, "Metadata-Flavor"): (200, json.dumps(GCE_ANSWER))}) as (url, _):
        assert cloud_metadata(url) == {"provider": "gce", "instance_type": "e2-small", "zone": "asia-east2-a"}


@pytest.mark.parametrize("body", ["not json", "[1]", "", "[" * 100_000])
def test_an_answer_that_is_no_metadata(body):
    """A captive portal's page is no metadata."""
    answers = {("GET", GCE_PATH, None): (200, body)}
    with service(answers) as (url, _), pytest.raises(FileNotFoundError, match="no known metadata service"):
        cloud_metadata(url)


def test_redirects_are_not_followed():
    """An answer that points elsewhere is no answer."""
    answers = {
        ("GET", GCE_PATH, None): (302, "/elsewhere"),
        ("GET", "/elsewhere", None): (200, json.dumps(GCE_ANSWER)),
    }
    with service(answers) as (url, asked), pytest.raises(FileNotFoundError):
        cloud_metadata(url)
    assert "/elsewhere" not in asked


def test_facts_ask_only_when_told_to(tmp_path: Path):
    """Without an address nothing is asked and no cloud fact is there; with one, its answers are facts."""
    with service(AWS) as (url, asked):
        assert not any(fact.name.startswith("cloud.") for fact in collect(tmp_path, 0))
        assert asked == []
        found = {fact.name: fact.value for fact in collect(tmp_path, 0, metadata_url=url)}
    assert (found["cloud.provider"], found["cloud.region"]) == ("aws", "ap-east-1")


def test_a_silent_service_is_a_reason(tmp_path: Path):
    """Where nothing answers, the fact says so."""
    with service({}) as (url, _):
        found = {fact.name: fact for fact in collect(tmp_path, 0, metadata_url=url)}
    assert (found["cloud.provider"].value, found["cloud.provider"].reason) == (None, "absent")
