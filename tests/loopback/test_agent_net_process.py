import asyncio
import sys
import time

import pytest

from agent.net.process import run_process


def run(code, deadline_seconds=10.0, max_stdout_bytes=1000):
    argv = (sys.executable, "-c", code)
    return asyncio.run(
        run_process(argv, deadline_seconds=deadline_seconds, max_stdout_bytes=max_stdout_bytes)
    )


def test_output_and_status_come_back():
    """Both streams, and the exit status as it is."""
    result = run("import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)")
    assert (result.exit_status, result.stdout, result.stderr, result.stopped) == (3, b"a\n", b"b\n", "")


def test_a_program_that_hangs_is_killed_at_the_deadline():
    """It is reaped too, and what it had printed is kept."""
    result = run("import time; print('early', flush=True); time.sleep(60)", deadline_seconds=1.0)
    assert (result.exit_status, result.stdout, result.stopped) == (None, b"early\n", "deadline")


def test_a_program_that_prints_without_end_is_stopped():
    """No more than the allowed bytes are kept, and that they were cut is said."""
    result = run("while True: print('x' * 1000)", max_stdout_bytes=5000)
    assert (len(result.stdout), result.stopped) == (5000, "output")


def test_a_flood_of_errors_does_not_block_the_program():
    """Standard error is drained to the end and cut to 4 kB."""
    result = run("import sys; sys.stderr.write('e' * 10**6); print('done')")
    assert (result.stdout, len(result.stderr), result.exit_status) == (b"done\n", 4096, 0)


def test_a_program_that_is_not_there_is_an_oserror():
    """Not installed is told from failed."""
    with pytest.raises(FileNotFoundError):
        asyncio.run(run_process(("/nonexistent",), deadline_seconds=1, max_stdout_bytes=1))


def test_a_cancelled_run_leaves_no_program_behind():
    """The caller's cancellation kills it."""

    async def cancelled():
        task = asyncio.create_task(run_process(("sleep", "60"), deadline_seconds=60, max_stdout_bytes=1))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    began = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - began < 30
