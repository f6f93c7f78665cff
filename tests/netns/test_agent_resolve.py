"""A name server that never answers holds up neither the start, nor other peers' probes, nor the end."""

import os
import shutil
import socket
from contextlib import closing

import pytest

from agent.wire.series import PROBE_CLOCKS
from agent_process import AgentProcess

pytestmark = pytest.mark.netns
DEAF_SERVER = "127.0.0.153"


@pytest.fixture
def deaf_resolver(tmp_path):
    """Command prefix under which /etc/resolv.conf names a server that takes questions and gives no answers."""
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("a private /etc/resolv.conf needs root and unshare(1)")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((DEAF_SERVER, 53))
        own = tmp_path / "resolv.conf"
        own.write_text(f"nameserver {DEAF_SERVER}\n")
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        yield ["unshare", "--mount", "sh", "-c", mount, str(own)]


def test_a_deaf_name_server_holds_nothing_up(tmp_path, deaf_resolver):
    """With a hundred names that hang, the collector's among them, the literal peer is probed at once, and SIGTERM still ends it within 5 s."""
    agent = AgentProcess(tmp_path, prefix=deaf_resolver)
    names = "".join(f'[[peers]]\nname = "n{n}"\nipv4 = "n{n}.example"\n' for n in range(100))
    (tmp_path / "token").write_text("secret")
    link = f'[collector]\nurl = "http://collector.example"\ntoken_file = "{tmp_path}/token"\n'
    agent.write(link + agent.own_peer() + names)
    with agent:
        agent.wait_ready()
        agent.wait_until(
            lambda: (agent.metric("lightfloor_probe_rtt_seconds_count") or 0) >= 3, "three results"
        )
        unresolved = (
            'lightfloor_probe_outcomes_total{destination="n0",probe="tcp",family="ipv4",outcome="unresolved"}'
        )
        agent.wait_until(lambda: (agent.metric(unresolved) or 0) >= 1, "an unresolved probe")
        status, seconds = agent.stop()
    assert (status, seconds < 5) == (0, True), seconds


def test_a_name_without_address_is_unresolved_for_every_kind(tmp_path, deaf_resolver):
    """Whatever the probe, a name that the resolver cannot tell is its own outcome: neither loss nor a failure of the agent."""
    kinds = [kind for kind in PROBE_CLOCKS if kind not in ("iperf3", "qperf")]  # those run by lease
    probes = ", ".join(f'{{ kind = "{kind}", interval_seconds = 0.5 }}' for kind in kinds)
    agent = AgentProcess(tmp_path, prefix=deaf_resolver)
    agent.write(f'[[peers]]\nname = "n"\nipv4 = "n.example"\nprobes = [{probes}]\n')
    with agent:
        for kind in kinds:
            line = f'lightfloor_probe_outcomes_total{{destination="n",probe="{kind}",family="ipv4",outcome="unresolved"}}'
            agent.wait_until(lambda line=line: (agent.metric(line) or 0) >= 1, f"an unresolved {kind}")
        page = agent.get("/metrics")[1]
    others = [
        line
        for line in page.splitlines()
        if 'destination="n"' in line and "outcome=" in line and "unresolved" not in line
    ]
    assert [line for line in others if not line.endswith(" 0") and "skipped" not in line] == []
