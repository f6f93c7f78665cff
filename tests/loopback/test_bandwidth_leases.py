"""Two nodes and a collector over HTTP: a test is leased, runs, is counted, told and flagged."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest

from agent.clock import SystemClock
from agent.hostcounters import Reading
from agent.leases import LeaseWorker
from agent.ledger import Ledger
from agent.net.bandwidth import free_port
from agent.net.collector import Collector
from agent.net.network import SystemNetwork
from agent.runner import Runner
from agent.wire.series import Outcome
from collector.app import running
from collector.config import parse_config
from collector.store.schema import open_writer
from collector.store.tokens import enroll
from fakes import FixedAddresses

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(not (shutil.which("iperf3") and shutil.which("qperf")), reason="iperf3 and qperf"),
]

FLEET = """
[bandwidth]
kinds = ["{kind}"]
duration_seconds = 1
bits_per_second = 10_000_000
budget_ratio = 1.0
[[providers]]
name = "p"
[[sites]]
name = "s"
[[groups]]
name = "all"
shape = "pairs"
pairs = [["a", "b"]]
[[nodes]]
name = "a"
provider = "p"
site = "s"
ipv4 = "{a}"
transfer_allowance_bytes = {allowance}
[[nodes]]
name = "b"
provider = "p"
site = "s"
ipv4 = "{b}"
transfer_allowance_bytes = {allowance}
"""
ONE_TEST = 1_325_000


class QuietHost:
    """A host without steal or traffic."""

    def read(self):
        return Reading(wall_ns=time.time_ns(), mono_ns=time.monotonic_ns())


class NodeUnderTest:
    """One agent's worker with its own slot, as in a process of its own."""

    def __init__(self, name, url, token_file):
        self.network = SystemNetwork()
        self.ledger = Ledger()
        self.collector = Collector(url, token_file, None, 20)
        self.runner = Runner(self.ledger, self.network, FixedAddresses(), SystemClock(), 0.1)
        self.worker = LeaseWorker(
            name,
            self.collector,
            self.runner,
            self.network.bandwidth,
            probe_counts=self.ledger.probe_counts,
            read_host=QuietHost().read,
            ports=(20000, 29999),
            wait_seconds=5,
        )

    def start(self):
        self.task = asyncio.create_task(self.worker.run())

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.collector.close()
        self.network.close()

    @property
    def outcomes(self):
        return {series.probe: tally.outcomes for series, tally in self.ledger.totals.items()}


@asynccontextmanager
async def mesh(tmp_path, kind="iperf3", allowance=10**12, a="127.0.0.2", b="127.0.0.3"):
    """A running collector, and the two nodes by name, not yet started."""
    port = free_port(30000, 32000, "127.0.0.1")
    (tmp_path / "fleet.toml").write_text(FLEET.format(kind=kind, allowance=allowance, a=a, b=b))
    config = parse_config(
        f'[server]\nport = {port}\n[store]\npath = "{tmp_path}/store.db"\n[fleet]\npath = "{tmp_path}/fleet.toml"\n',
        "collector.toml",
    )
    connection = open_writer(tmp_path / "store.db")
    for name in ("a", "b"):
        (tmp_path / name).write_text(enroll(connection, name, int(time.time())))
    connection.close()
    async with running(config):
        nodes = {name: NodeUnderTest(name, f"http://127.0.0.1:{port}", tmp_path / name) for name in "ab"}
        try:
            yield nodes
        finally:
            for node in nodes.values():
                await node.stop()


async def stored(tmp_path, condition="outcome IS NOT NULL", seconds=25):
    """The lease in the store once it fits the condition: (kind, client, server, outcome, reason, bytes)."""
    async with asyncio.timeout(seconds):
        while True:
            connection = sqlite3.connect(tmp_path / "store.db")
            rows = connection.execute(
                f"SELECT kind, client, server, outcome, reason, bytes FROM bandwidth_lease WHERE {condition}"
            ).fetchall()
            connection.close()
            if rows:
                return rows
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "a", "b"), [("iperf3", "127.0.0.2", "127.0.0.3"), ("qperf", "127.0.0.1", "127.0.0.1")]
)
async def test_a_leased_test_runs_and_its_result_arrives(tmp_path, kind, a, b):
    """Server first, then the client; both hold their slot meanwhile; bytes are settled to what was sent."""
    async with mesh(tmp_path, kind, a=a, b=b) as nodes:
        for node in nodes.values():
            node.start()
        ((stored_kind, client, server, outcome, reason, size),) = await stored(tmp_path)
        assert (stored_kind, client, server, outcome, reason) == (kind, "a", "b", "ok", "")
        if kind == "iperf3":
            assert 0.9 * ONE_TEST < size <= 1.1 * ONE_TEST
        assert nodes["a"].outcomes == {kind: {Outcome.OK: 1}}
        (event,) = nodes["a"].runner.take_events()
        assert (event.kind, event.destination, event.detail["outcome"]) == ("bandwidth_test", "b", "ok")
        for node in nodes.values():
            assert node.network.bandwidth.slot.take_seconds() > 0.9
        assert nodes["b"].outcomes == {}


async def test_over_budget_nothing_runs(tmp_path):
    """A test that a day's budget cannot pay is not leased; one that it just pays for is."""
    async with mesh(tmp_path, allowance=ONE_TEST * 30 + 29) as nodes:
        for node in nodes.values():
            node.start()
        await stored(tmp_path)
        await asyncio.sleep(1)
        assert len(await stored(tmp_path, "1")) == 1
    poor = tmp_path / "poor"
    poor.mkdir()
    async with mesh(poor, allowance=ONE_TEST * 30 - 1) as nodes:
        for node in nodes.values():
            node.start()
        with pytest.raises(TimeoutError):
            await stored(poor, "1", seconds=3)


async def test_a_node_that_holds_another_test_refuses_with_the_reason(tmp_path):
    """Told by whom; no byte is charged."""
    async with mesh(tmp_path) as nodes:
        with nodes["b"].network.bandwidth.slot.hold():
            for node in nodes.values():
                node.start()
            ((*_, outcome, reason, size),) = await stored(tmp_path)
    assert (outcome, size) == ("refused", 0)
    assert reason == "b: another bandwidth test runs on this node"


async def test_a_client_that_dies_costs_the_lease_only_its_time(tmp_path):
    """The server ends by itself, the lease expires, and what was reserved stays charged."""
    async with mesh(tmp_path) as nodes:
        nodes["b"].start()
        nodes["a"].start()
        await stored(tmp_path, "1")
        nodes["a"].task.cancel()
        ((*_, outcome, _, size),) = await stored(tmp_path, seconds=50)
        assert (outcome, size) == ("expired", ONE_TEST)
        assert nodes["b"].network.bandwidth.slot.is_free


async def test_only_enrolled_nodes_ask_and_tell(tmp_path):
    """And of a lease that is not theirs they learn that it is over."""
    async with mesh(tmp_path) as nodes, aiohttp.ClientSession() as session:
        base = nodes["a"].collector._base
        for node in nodes.values():
            node.start()
        async with session.get(f"{base}/v1/leases") as response:
            assert response.status == 401
        token = {"Authorization": f"Bearer {(tmp_path / 'a').read_text()}"}
        lease = f"{base}/v1/leases/{'0' * 32}"
        for body, status in ((b'{"state":"ended"}', 410), (b'{"state":"ready"}', 422), (b"{", 422)):
            async with session.post(lease, data=body, headers=token) as response:
                assert response.status == status
