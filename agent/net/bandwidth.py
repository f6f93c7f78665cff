"""Runs iperf3 and qperf: a client for one test, or a server for one test of one peer. Never two on this node."""

import asyncio
import errno
import random
import socket
from collections.abc import Callable, Sequence

from agent.bandwidth_slot import BandwidthSlot
from agent.net.admission import admit_only
from agent.net.process import ProcessResult, guarded, run_process

MOST_REPORT_BYTES = 8 << 20
GRACE_SECONDS = 1.0
_LISTEN_SECONDS = 3.0


class ServerUnavailableError(Exception):
    """This host cannot serve a test for one peer alone; the message says what is missing."""


class BandwidthPrograms:
    """slot: says which test runs, for the quality flags of this node's minutes."""

    def __init__(self, slot: BandwidthSlot) -> None:
        self.slot = slot

    async def run_client(self, argv: Sequence[str], deadline_seconds: float) -> ProcessResult:
        """Run a test to its end, or to the deadline and what it has measured until then.

        Raises SlotTakenError, and FileNotFoundError or PermissionError when the program cannot be started.
        """
        with self.slot.hold():
            return await _run(argv, deadline_seconds, lambda _pid: None)

    async def serve(
        self,
        argv: Sequence[str],
        *,
        port: int,
        peer: str,
        lifetime_seconds: float,
        ready: Callable[[], None],
    ) -> ProcessResult:
        """Run a server that only this peer (a literal address) can reach; call ready() once it can.

        Killed after lifetime_seconds at the latest. Raises SlotTakenError, ServerUnavailableError.
        """
        with self.slot.hold():
            pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            process = asyncio.create_task(_run(argv, lifetime_seconds, pid.set_result))
            try:
                await _guard(process, pid, port, peer)
                ready()
                return await process
            finally:
                process.cancel()
                await asyncio.gather(process, return_exceptions=True)


async def _run(argv: Sequence[str], deadline_seconds: float, started: Callable[[int], None]) -> ProcessResult:
    return await run_process(
        guarded(argv),
        deadline_seconds=deadline_seconds,
        max_stdout_bytes=MOST_REPORT_BYTES,
        grace_seconds=GRACE_SECONDS,
        started=started,
    )


async def _guard(
    process: asyncio.Task[ProcessResult], pid: asyncio.Future[int], port: int, peer: str
) -> None:
    """Returns when the server listens to the peer alone. Raises ServerUnavailableError."""
    try:
        async with asyncio.timeout(_LISTEN_SECONDS):
            await asyncio.wait((process, pid), return_when=asyncio.FIRST_COMPLETED)
            if pid.done():
                await admit_only(peer, pid.result(), port)
    except TimeoutError as error:
        raise ServerUnavailableError(f"the server does not listen on port {port}") from error
    except ProcessLookupError as error:
        await asyncio.wait((process,), timeout=GRACE_SECONDS)
        said = _last_words(process)
        raise ServerUnavailableError(f"the server ended before it listened: {said}") from error
    except OSError as error:
        raise ServerUnavailableError(
            f"the server cannot be held to one peer ({error.strerror or error})"
        ) from error
    if not pid.done():
        raise ServerUnavailableError(f"the server cannot be started: {process.exception()}")


def _last_words(process: asyncio.Task[ProcessResult]) -> str:
    if not process.done() or process.exception() is not None:
        return "no output"
    result = process.result()
    return (result.stderr or result.stdout).decode("utf-8", "replace").strip()[-300:] or "no output"


def free_port(first: int, last: int, bind: str, needed: int = 1) -> int:
    """A random port of first … last that is free on this address, and so are the needed - 1 after it.

    Raises OSError when there is none.
    """
    candidates = list(range(first, last - needed + 2))
    random.shuffle(candidates)
    for port in candidates:
        if all(_is_free(bind, port + more) for more in range(needed)):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port in {first} … {last} on {bind}")


def _is_free(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((bind, port))
        except OSError:
            return False
    return True


def bindable(address: str) -> str:
    """The address if this host has it, else every address of its family: behind NAT the public one is not here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - only the leased peer gets through
    return address
