"""The one place that runs a program."""

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

_CHUNK_BYTES = 1 << 16
_STDERR_BYTES = 4096
_NICENESS = 10
_DRAIN_SECONDS = 1.0


def guarded(argv: Sequence[str]) -> tuple[str, ...]:
    """argv as a program that dies with the agent, also by SIGKILL, and gives way to it on the CPU.

    setpriv(1) and nice(1) execute what follows in their own place, so the process id stays the same and the signal
    at the parent's death (PR_SET_PDEATHSIG, prctl(2)) stays set. Between fork and exec no Python runs, as it would
    with a preexec_fn, which may deadlock beside threads. Raises FileNotFoundError for a program that is not there.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, "not installed", argv[0])
    return ("setpriv", "--pdeathsig", "KILL", "nice", "-n", str(_NICENESS), program, *argv[1:])


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a program ended. exit_status: negative for a signal; None when it was stopped by us.

    stopped: "deadline" or "output" (more of it than allowed), else "". stderr is cut to 4 kB.
    """

    exit_status: int | None
    stdout: bytes
    stderr: bytes
    stopped: str = ""


async def run_process(
    argv: Sequence[str],
    *,
    deadline_seconds: float,
    max_stdout_bytes: int,
    grace_seconds: float = 0.0,
    started: Callable[[int], None] = lambda _pid: None,
) -> ProcessResult:
    """Run argv without a shell, in a process group of its own, and wait for its end.

    At the deadline, or when it prints too much, the group is killed; with grace_seconds it first gets SIGTERM and this
    long to print what it has. started is told the process id. Cancelling kills too. Raises FileNotFoundError or
    PermissionError when it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    output = _Output(process)
    stopped = ""
    try:
        started(process.pid)
        stopped = await output.read_for(deadline_seconds, max_stdout_bytes)
        if stopped == "deadline" and grace_seconds:
            _signal_group(process, signal.SIGTERM)
            await output.read_for(grace_seconds, max_stdout_bytes)
    finally:
        _signal_group(process, signal.SIGKILL)
        await process.wait()
        await output.close()
    status = None if stopped else process.returncode
    return ProcessResult(status, bytes(output.stdout), bytes(output.stderr[:_STDERR_BYTES]), stopped)


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    """To everything the program started, also when it has itself ended: its children keep the group's id in use."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Output:
    """What a program has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("a pipe was asked for and not given")
        self._process = process
        self._stdout_stream = process.stdout
        self.stdout, self.stderr = bytearray(), bytearray()
        self._errors = asyncio.create_task(_collect(process.stderr, self.stderr, None))

    async def read_for(self, seconds: float, limit: int) -> str:
        """Read to the program's end: "" when it came, "output" over limit bytes, "deadline" after these seconds."""
        try:
            async with asyncio.timeout(seconds):
                if not await _collect(self._stdout_stream, self.stdout, limit):
                    return "output"
                await asyncio.shield(self._errors)
                await self._process.wait()
        except TimeoutError:
            return "deadline"
        return ""

    async def close(self) -> None:
        """Throw away what is left, so that the loop closes the pipes; whoever holds them was killed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await _collect(self._stdout_stream, bytearray(), None)
                await self._errors
        self._errors.cancel()


async def _collect(stream: asyncio.StreamReader, into: bytearray, limit: int | None) -> bool:
    """Read to the end; False when limit was reached first. Without a limit what is too much is thrown away."""
    while piece := await stream.read(_CHUNK_BYTES):
        if limit is not None and len(into) + len(piece) > limit:
            into += piece[: limit - len(into)]
            return False
        if limit is not None or len(into) < _STDERR_BYTES:
            into += piece
    return True
