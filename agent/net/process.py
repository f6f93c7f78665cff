"""The one place that runs a program."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

_CHUNK_BYTES = 1 << 16
_STDERR_BYTES = 4096


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
    argv: Sequence[str], *, deadline_seconds: float, max_stdout_bytes: int
) -> ProcessResult:
    """Run argv without a shell and wait for its end; kill it at the deadline or when it prints too much.

    Raises FileNotFoundError or PermissionError when it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("a pipe was asked for and not given")
    stdout, stderr = bytearray(), bytearray()
    stopped = ""
    errors = asyncio.create_task(_collect(process.stderr, stderr, None))
    try:
        async with asyncio.timeout(deadline_seconds):
            whole = await _collect(process.stdout, stdout, max_stdout_bytes)
            if whole:
                await errors
                await process.wait()
            else:
                stopped = "output"
    except TimeoutError:
        stopped = "deadline"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        errors.cancel()
    status = None if stopped else process.returncode
    return ProcessResult(status, bytes(stdout), bytes(stderr[:_STDERR_BYTES]), stopped)


async def _collect(stream: asyncio.StreamReader, into: bytearray, limit: int | None) -> bool:
    """Read to the end; False when limit was reached first. Without a limit what is too much is thrown away."""
    while piece := await stream.read(_CHUNK_BYTES):
        if limit is not None and len(into) + len(piece) > limit:
            into += piece[: limit - len(into)]
            return False
        if limit is not None or len(into) < _STDERR_BYTES:
            into += piece
    return True
