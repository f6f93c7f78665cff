"""What saves memory changes nothing else."""

import os
import subprocess
import sys

import pytest

from agent.net import memory
from agent_process import ROOT

CONTEXTS = """
import ssl
from agent.net import memory
with memory.without_authorities():
    from aiohttp import connector
print(len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()), connector._SSL_CONTEXT_VERIFIED.verify_mode.name)
print(len(ssl.create_default_context().get_ca_certs()))
"""


def test_aiohttp_has_no_authorities_and_the_agent_has_the_systems(tmp_path):
    """A session without a context of its own would trust nobody; a context made later trusts whom the system does."""
    pem = tmp_path / "authorities.pem"
    import trustme

    trustme.CA().cert_pem.write_to_path(str(pem))
    environment = os.environ | {"SSL_CERT_FILE": str(pem), "SSL_CERT_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CONTEXTS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "CERT_REQUIRED", "1"]


@pytest.mark.parametrize("before", [None, "/etc/mine.pem"])
def test_the_environment_is_as_it_was(monkeypatch, before):
    """Set or not set, also when the import fails."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if before is not None:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    with pytest.raises(ImportError), memory.without_authorities():
        raise ImportError
    assert os.environ.get("SSL_CERT_FILE") == before
