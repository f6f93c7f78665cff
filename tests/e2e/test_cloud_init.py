"""The cloud-init snippet, by cloud-init itself: its schema, and a clean server's first boot."""

import shutil
import time
from pathlib import Path

import pytest
import trustme
import yaml

from lab.cleanroot import clean_root
from lab.machine import machine, missing_for_a_machine

SNIPPET = Path(__file__).resolve().parents[2] / "deploy/cloud-init/agent.yaml"
MISSING = missing_for_a_machine()
pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]
AGENT, COLLECTOR = "lightfloor-agent", "lightfloor-collector"
COLLECTOR_TOML = """
[server]
tls_cert = "cert.pem"
tls_key = "key.pem"
[store]
path = "/var/lib/lightfloor-collector/collector.db"
[enroll]
url = "https://127.0.0.1:10990"
ca_file = "authority.pem"
packages = "/srv/packages"
"""
FLEET_TOML = """
[[providers]]
name = "one"
[[sites]]
name = "fra"
iata = "FRA"
[[nodes]]
name = "new-1"
provider = "one"
site = "fra"
ipv4 = "127.0.0.1"
"""
# What the snippet uses, but for packages: this machine has no network.
MODULES = {
    "datasource_list": ["NoCloud"],
    "cloud_init_modules": ["write-files"],
    "cloud_config_modules": ["runcmd"],
    "cloud_final_modules": ["scripts-user"],
}


@pytest.fixture(scope="module")
def host(tmp_path_factory, packages):
    """A clean machine that runs nothing but a collector with the agent's package."""
    root = clean_root()
    with machine(tmp_path_factory.mktemp("machine"), root) as booted:
        shutil.copytree(packages, booted.root / "srv/packages")
        (booted.root / "srv/packages").chmod(0o755)
        # No network in this machine: the agent's package without those it recommends.
        (booted.root / "etc/apt/apt.conf.d/99-test").write_text('APT::Install-Recommends "false";\n')
        booted.run("sh", "-c", f"dpkg -i /srv/packages/{COLLECTOR}_*.deb", timeout=200)
        authority, folder = trustme.CA(), booted.root / "etc/lightfloor"
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        authority.cert_pem.write_to_path(folder / "authority.pem")
        (folder / "collector.toml").write_text(COLLECTOR_TOML)
        (folder / "fleet.toml").write_text(FLEET_TOML)
        booted.run("systemctl", "start", COLLECTOR)
        yield booted


def user_data(host):
    """As the snippet's own comment makes it."""
    line = host.run("runuser", "-u", COLLECTOR, "--", COLLECTOR, "enroll", "new-1", "--rotate").stdout
    return f"{SNIPPET.read_text()}      {line}"


def test_it_keeps_cloud_inits_schema(host):
    """cloud-init finds nothing wrong, neither in the snippet nor with a line in it."""
    for name, text in (("snippet.yaml", SNIPPET.read_text()), ("user-data.yaml", user_data(host))):
        (host.root / "root" / name).write_text(text)
        assert "Valid" in host.run("cloud-init", "schema", "--config-file", f"/root/{name}").stdout


def test_a_server_has_joined_when_its_first_boot_is_over(host):
    """cloud-init's stages run with the user data: the agent is installed, enrolled, running and has its
    assignment; the line is gone from /run, and the token is root's alone."""
    seed = host.root / "var/lib/cloud/seed/nocloud"
    seed.mkdir(parents=True)
    (seed / "meta-data").write_text("instance-id: first\nlocal-hostname: new-1\n")
    (seed / "user-data").write_text(user_data(host))
    (host.root / "etc/cloud/cloud.cfg.d/99-seed.cfg").write_text(yaml.safe_dump(MODULES))
    (host.root / "etc/cloud/cloud-init.disabled").unlink()
    for stage in (["init", "--local"], ["init"], ["modules", "--mode=config"], ["modules", "--mode=final"]):
        host.run("cloud-init", *stage, timeout=100)
    output = (host.root / "var/log/cloud-init.log").read_text()
    assert "Failed to run module scripts-user" not in output
    until(lambda: host.unit(AGENT, "ActiveState") == "active", host)
    until((host.root / f"var/lib/private/{AGENT}/assignment.json").exists, host)
    assert (host.root / "etc/lightfloor/token").stat().st_mode & 0o777 == 0o600
    assert host.run("ls", "/run/lightfloor-join", check=False).returncode != 0


def until(what, host, seconds=30):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, host.journal(AGENT)
        time.sleep(0.2)
