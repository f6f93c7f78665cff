import asyncio
import contextlib
import socket

from agent.clock import SystemClock
from agent.hostcounters import Reading
from agent.net.procfs import ProcRoot
from agent.net.resolve import Resolver
from agent.passive import Passive
from agent.wire.assignment import Peer
from agent_process import AgentProcess


async def test_host_counters_and_own_groups_are_on_the_page(tmp_path):
    """Steal, drops and memory of this host, and the connections of a configured network and port, are metrics of a running agent."""
    agent = AgentProcess(tmp_path)
    with socket.create_server(("127.0.0.72", 0)) as server, socket.create_connection(server.getsockname()):
        port = server.getsockname()[1]
        agent.write(f'[[socket_groups]]\nname = "web"\nnetworks = ["127.0.0.64/26"]\nports = [{port}]\n')
        with agent:
            line = 'lightfloor_group_connections{group="web"}'
            await asyncio.to_thread(
                agent.wait_until, lambda: agent.metric(line) == 1, "the end towards the network counted"
            )
            for name in (
                'host_cpu_seconds_total{mode="user"}',
                "host_memory_available_bytes",
                "host_softnet_processed_total",
            ):
                assert agent.metric(f"lightfloor_{name}") > 0
            assert agent.metric("lightfloor_peer_connections") is None


async def test_connections_with_a_peer_are_counted_under_its_name():
    """What the kernel knows is read without waiting for the interval, and a peer's sockets stand under its name."""
    passive = Passive(Resolver(60.0), SystemClock(), ProcRoot(), lambda: Reading(0, 0))
    with socket.create_server(("127.0.0.71", 0)) as server, socket.create_connection(server.getsockname()):
        task = asyncio.create_task(passive.run(lambda: [Peer("neighbour", ipv4="127.0.0.71")]))
        try:
            async with asyncio.timeout(10):
                while passive.sockets is None:
                    assert not passive.sockets_problem
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert passive.sockets.groups["neighbour"].connections >= 1
    assert passive.tcp.totals.counters["Tcp"]["OutSegs"] > 0


async def test_facts_are_handed_over_once_and_not_again_unchanged():
    """The first reading goes out whole."""
    sent = []
    task = asyncio.create_task(
        Passive(Resolver(60.0), SystemClock(), ProcRoot(), lambda: Reading(0, 0)).run_facts(sent.append)
    )
    try:
        async with asyncio.timeout(10):
            while not sent:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert any(fact.name == "kernel.release" and fact.value for fact in sent[0])
