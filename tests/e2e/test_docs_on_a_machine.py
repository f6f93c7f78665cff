"""What the documentation tells people to type, typed on a machine with a systemd of its own and our packages."""

import subprocess

import pytest

from docs_blocks import PAGES, blocks_of
from lab.machine import machine, missing_for_a_machine

MISSING = missing_for_a_machine()
INSTALL = "docs/install.md"
OTHERS = [page for page in PAGES if page != INSTALL and any(block.is_run for block in blocks_of(page))]
BLOCK_SECONDS = 60
SETTING = """
echo 127.0.0.1 collector.example.net >>/etc/hosts
ip address add 192.0.2.10/32 dev lo
"""
"""The names and addresses of deploy/fleet.example.toml that the blocks use."""
pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]


def run(host, block):
    """A page's block in root's home directory; any command in it that fails is the test's failure."""
    script = f"exec </dev/null; cd /root; {block.text}"
    try:
        done = host.run("sh", "-euc", script, check=False, timeout=BLOCK_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{block}: not done after {BLOCK_SECONDS} s")
    assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory, packages):
    """A machine after everything that docs/install.md says."""
    with machine(tmp_path_factory.mktemp("machine")) as host:
        for package in packages.iterdir():
            (host.root / "root" / package.name).write_bytes(package.read_bytes())
        host.run("sh", "-euc", SETTING)
        for block in blocks_of(INSTALL):
            if block.is_run:
                run(host, block)
        yield host


def test_the_installation_ends_with_both_services_running(installed):
    """Block by block, the page leads to a fleet's collector and an agent that has joined it over TLS."""
    for unit in ("lightfloor-collector", "lightfloor-agent"):
        assert installed.unit(unit, "ActiveState") == "active"
    assert "https://collector.example.net:10990" in (installed.root / "etc/lightfloor/agent.toml").read_text()


@pytest.mark.parametrize("page", OTHERS)
def test_what_the_page_tells_to_type_works(installed, page):
    """Every block marked `run`, in the order of the page."""
    for block in blocks_of(page):
        if block.is_run:
            run(installed, block)
