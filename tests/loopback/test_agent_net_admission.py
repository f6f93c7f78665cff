"""A program's listening socket hears one peer only, from before the program knows."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.bandwidth_slot import BandwidthSlot, SlotTakenError
from agent.net.admission import admit_only
from agent.net.bandwidth import BandwidthPrograms, ServerUnavailableError, free_port
from agent.net.process import guarded, run_process

LISTENER = """
import socket, sys, time
sock = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET,
    dualstack_ipv6=sys.argv[1] == "::")
peer, address = sock.accept()
peer.sendall(b"hello")
print(address[0], flush=True)
"""


def programs():
    return BandwidthPrograms(BandwidthSlot(time.monotonic_ns))


async def admitted_from(bind, peer, stranger, server):
    """What the program saw, after a stranger has tried and the peer has come."""
    port = free_port(20000, 29999, bind)
    ready = asyncio.Event()
    argv = (sys.executable, "-c", LISTENER, bind, str(port))
    serving = asyncio.create_task(
        programs().serve(argv, port=port, peer=peer, lifetime_seconds=20, ready=ready.set)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    assert ready.is_set(), serving
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(connect, server, port, stranger, 0.5)
    assert await asyncio.to_thread(connect, server, port, peer, 5) == b"hello"
    return (await serving).stdout.decode().strip()


def connect(server, port, source, timeout):
    with socket.create_connection((server, port), timeout=timeout, source_address=(source, 0)) as sock:
        return sock.recv(5)


async def test_a_stranger_is_not_answered_and_the_peer_is():
    """IPv4: the stranger meets silence, not even a refusal, and does not use up the one connection."""
    assert await admitted_from("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1") == "127.0.0.2"


async def test_a_socket_of_both_families_is_held_to_an_ipv4_peer():
    """qperf listens so on every address."""
    assert await admitted_from("::", "127.0.0.2", "127.0.0.3", "127.0.0.1") == "::ffff:127.0.0.2"


async def test_an_ipv6_peer_is_told_from_other_addresses():
    """All 16 bytes count: ::1 is admitted, and on the same socket nothing of IPv4 is."""
    port = free_port(20000, 29999, "::")
    ready = asyncio.Event()
    argv = (sys.executable, "-c", LISTENER, "::", str(port))
    serving = asyncio.create_task(
        programs().serve(argv, port=port, peer="::1", lifetime_seconds=20, ready=ready.set)
    )
    await asyncio.wait_for(ready.wait(), 10)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(connect, "127.0.0.1", port, "127.0.0.1", 0.5)
    assert await asyncio.to_thread(connect, "::1", port, "::1", 5) == b"hello"
    assert (await serving).stdout == b"::1\n"


async def test_a_server_that_ends_before_it_listens_says_its_last_words():
    """The reason reaches whoever asked for the test."""
    argv = (sys.executable, "-c", "import sys; sys.exit('no such option')")
    with pytest.raises(ServerUnavailableError, match="no such option"):
        await programs().serve(argv, port=29999, peer="127.0.0.1", lifetime_seconds=5, ready=lambda: None)


async def test_a_server_is_gone_after_its_lifetime():
    """Also one that would serve for ever, and it is reaped."""
    port = free_port(20000, 29999, "127.0.0.1")
    argv = (sys.executable, "-c", LISTENER, "127.0.0.1", str(port))
    result = await programs().serve(argv, port=port, peer="127.0.0.1", lifetime_seconds=1, ready=lambda: None)
    assert result.stopped == "deadline"
    assert free_port(port, port, "127.0.0.1") == port


async def test_the_second_test_of_a_node_does_not_start():
    """One slot for clients and servers alike; it is free again after."""
    both = programs()
    first = asyncio.create_task(both.run_client(("sleep", "0.5"), 5))
    await asyncio.sleep(0.1)
    with pytest.raises(SlotTakenError):
        await both.run_client(("sleep", "0.5"), 5)
    await first
    assert both.slot.is_free


async def test_a_process_that_is_gone_is_an_error_and_not_a_wait():
    """admit_only does not look for ever."""
    process = subprocess.Popen(["sleep", "0"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        await admit_only("127.0.0.1", process.pid, 1)


async def test_sigterm_comes_first_and_what_is_printed_then_is_kept():
    """A partial report is the reason of a test that ran into its deadline."""
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('partial', flush=True)))\n"
        "print('start', flush=True)\ntime.sleep(60)"
    )
    result = await run_process(
        (sys.executable, "-c", code), deadline_seconds=1, max_stdout_bytes=100, grace_seconds=10
    )
    assert (result.stdout, result.stopped) == (b"start\npartial\n", "deadline")


async def test_the_whole_group_goes():
    """A program's own children do not survive it, also when they ignore SIGTERM."""
    code = "import subprocess; subprocess.Popen(['sh', '-c', 'trap \"\" TERM; echo $$; sleep 60']); input()"
    result = await run_process(
        (sys.executable, "-c", code.replace("input()", "import time; time.sleep(60)")),
        deadline_seconds=1,
        max_stdout_bytes=100,
        grace_seconds=0.2,
    )
    assert await gone(int(result.stdout))


async def test_kill_9_of_the_agent_leaves_no_program():
    """The kernel itself kills a guarded program when its parent dies; it runs at low priority until then."""
    code = (
        "import asyncio, os\nfrom agent.net.process import guarded, run_process\n"
        "asyncio.run(run_process(guarded(('sleep', '60')), deadline_seconds=60, max_stdout_bytes=1,"
        " started=lambda pid: print(pid, flush=True)))"
    )
    agent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(agent.stdout.readline())
    async with asyncio.timeout(10):
        while Path(f"/proc/{child}/comm").read_text() != "sleep\n":
            await asyncio.sleep(0.01)
    assert os.getpriority(os.PRIO_PROCESS, child) == 10
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()
    assert await gone(child)


async def gone(pid):
    """Whether the process ends within seconds; one that nobody has waited for yet counts as gone."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_program_that_is_not_installed_is_named():
    """Before setpriv would say so in its own words."""
    with pytest.raises(FileNotFoundError, match="not installed"):
        guarded(("no-such-program-here",))
