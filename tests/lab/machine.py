"""A machine with a systemd of its own: an overlay of a root file system, booted by systemd-nspawn. Needs root.

What a test changes in it is gone afterwards; the root below is never written.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

BOOT_SECONDS = 60


class Machine:
    """A booted machine: its root as a path from outside, and commands inside."""

    def __init__(self, root: Path, init_pid: int) -> None:
        self.root = root
        self._init_pid = init_pid

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One command in the machine. Raises AssertionError with its output where it fails and check is set."""
        inside = [
            "nsenter",
            "-t",
            str(self._init_pid),
            "-a",
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            *command,
        ]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            said = subprocess.run(
                [*inside[:4], "journalctl", "-n", "30", "--no-pager"], capture_output=True, text=True
            )
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}{said.stdout}")
        return done

    def unit(self, name: str, field: str) -> str:
        """One property of a unit, as systemctl show prints it."""
        return self.run("systemctl", "show", "-P", field, name).stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit wrote."""
        return self.run("journalctl", "-u", unit, "--no-pager", "-o", "cat").stdout


@contextlib.contextmanager
def machine(directory: Path, below: Path = Path("/")) -> Iterator[Machine]:
    """Boot an overlay of the root file system below, until the block ends."""
    layers, root = directory / "layers", directory / "root"
    layers.mkdir()
    root.mkdir()
    with contextlib.ExitStack() as undo:
        _mount(undo, layers, "-t", "tmpfs", "-o", "size=1500m", "lightfloor-test")
        (layers / "upper").mkdir()
        (layers / "work").mkdir()
        options = f"lowerdir={below},upperdir={layers}/upper,workdir={layers}/work"
        _mount(undo, root, "-t", "overlay", "-o", options, "lightfloor-test")
        policy = root / "usr/sbin/policy-rc.d"  # one of the host's would keep services from starting here
        policy.unlink(missing_ok=True)
        yield Machine(root, undo.enter_context(_booted(root, directory)))


def _mount(undo: contextlib.ExitStack, where: Path, *arguments: str) -> None:
    subprocess.run(["mount", *arguments, str(where)], check=True, capture_output=True)
    undo.callback(subprocess.run, ["umount", "-l", str(where)], check=True)


@contextlib.contextmanager
def _booted(root: Path, directory: Path) -> Iterator[int]:
    """The pid of the machine's init, from outside."""
    name = f"lft{os.getpid()}"
    command = [
        "systemd-nspawn",
        "-q",
        "-D",
        str(root),
        "--boot",
        f"--machine={name}",
        "--register=no",
        "--keep-unit",
    ]
    command += ["--private-network", "--link-journal=no", "--console=pipe", "systemd.unit=basic.target"]
    with (directory / "boot.log").open("wb") as log:
        nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _wait_until_up(nspawn, directory / "boot.log")
        finally:
            nspawn.send_signal(signal.SIGTERM)
            try:
                nspawn.wait(10)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()
            _remove_empty_groups()


def _wait_until_up(nspawn: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        assert nspawn.poll() is None, f"systemd-nspawn ended: {log.read_text()}"
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
        if children:
            asked = ["nsenter", "-t", children[0], "-a", "systemctl", "is-system-running"]
            state = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
            if state in {"running", "degraded"}:
                return int(children[0])
        time.sleep(0.1)
    raise AssertionError(f"no systemd after {BOOT_SECONDS} s: {log.read_text()}")


def _remove_empty_groups() -> None:
    """systemd-nspawn leaves its control groups behind where they are of version 1."""
    for name in ("payload", "supervisor"):
        for top in Path("/sys/fs/cgroup").glob(f"*/{name}"):
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):  # not empty: another machine's
                    group.rmdir()


def missing_for_a_machine() -> str | None:
    """Why no machine can be booted here, None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("systemd-nspawn") is None:
        return "needs the Debian package systemd-container"
    return None
