"""The images' health check against servers of every kind."""

import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread

import pytest
import trustme

from agent_process import free_port

HEALTHY = Path(__file__).resolve().parents[2] / "deploy/container/healthy.py"


@contextmanager
def server(status, *, tls):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/-/healthy" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    listening.handle_error = lambda *_: None
    Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield listening.server_port
    finally:
        listening.shutdown()
        listening.server_close()


def check(port):
    done = subprocess.run([sys.executable, HEALTHY, str(port)], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.returncode


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (401, 0), (403, 0), (503, 1)])
def test_a_program_is_healthy_when_it_says_so(status, exit_status, tls):
    """With and without TLS, whatever name its certificate has; one that asks for a password or a certificate lives too."""
    with server(status, tls=tls) as port:
        assert check(port) == exit_status


def test_nobody_there_is_not_healthy():
    """A closed port is exit status 1, without a traceback."""
    assert check(free_port()) == 1
