"""Network namespaces without names: held by descriptors, so that nothing is left of them whatever happens.

A namespace lives as long as a process or an open descriptor is in it. Commands run inside through nsenter(1),
with a private mount namespace where /sys shows the namespace's own devices, as ip-netns(8) arranges it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.syscalls import enter_network

# A fresh sysfs shows the new namespace's devices; the control groups below it are kept from the old one.
_PREPARE = (
    "cd /sys/fs/cgroup && mount -c -t sysfs sysfs /sys && mount -c --rbind . /sys/fs/cgroup"
    " && ip link set lo up && echo ready && read -r _"
)
_NOBODY = 65534
_UNPRIVILEGED = (
    "setpriv",
    f"--reuid={_NOBODY}",
    f"--regid={_NOBODY}",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
    "--",
)


class LabError(RuntimeError):
    """The lab could not be built or failed; says which command and what it printed."""


class LabUnavailableError(unittest.SkipTest):
    """This machine has not what the lab needs; pytest and unittest take it as a skip, with this reason."""


def require_lab() -> None:
    """Raise LabUnavailableError where no lab can be built."""
    if os.geteuid() != 0:
        raise LabUnavailableError("the lab makes network namespaces, which needs root")
    if not Path("/dev/net/tun").exists():
        raise LabUnavailableError("the lab's WAN needs /dev/net/tun")
    for program in ("unshare", "nsenter", "setpriv", "ip"):
        require_program(program)


def require_program(name: str) -> None:
    """Raise LabUnavailableError where a program is not installed."""
    if shutil.which(name) is None:
        raise LabUnavailableError(f"the lab needs {name}, which is not installed")


class Namespace:
    """A network namespace with its mount namespace, loopback up."""

    def __init__(self) -> None:
        keeper = subprocess.Popen(
            ("unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c", _PREPARE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if keeper.stdout.readline() != b"ready\n":
            raise LabError(f"no network namespace: {keeper.communicate()[1].decode().strip()}")
        self.net_fd = os.open(f"/proc/{keeper.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._mount_fd = os.open(f"/proc/{keeper.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        keeper.communicate()

    @property
    def path(self) -> str:
        """A name for `ip link set … netns PATH` and `nsenter --net=PATH`, valid while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.net_fd}"

    def command(self, argv: Sequence[str], *, unprivileged: bool = False) -> list[str]:
        """The argv that runs `argv` inside, in the current folder; keeps its process id (exec, not fork).

        unprivileged: as user 65534 without any capability, and without a way to gain one.
        """
        mount = f"/proc/{os.getpid()}/fd/{self._mount_fd}"
        enter = ["nsenter", f"--net={self.path}", f"--mount={mount}", f"--wd={Path.cwd()}", "--"]
        if unprivileged:
            enter += [*_opening_folders(Path(sys.base_prefix), Path(sys.prefix), Path.cwd()), *_UNPRIVILEGED]
        return [*enter, *(str(word) for word in argv)]

    @contextmanager
    def enter(self) -> Iterator[None]:
        """The calling thread is inside; sockets opened here stay inside after it left."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter_network(self.net_fd)
            yield
        finally:
            enter_network(home)
            os.close(home)

    def close(self) -> None:
        """Kill what runs inside and let go."""
        kill_inhabitants(self.net_fd, spare={os.getpid()})
        os.close(self.net_fd)
        os.close(self._mount_fd)


def inhabitants(netns_fd: int) -> list[int]:
    """Process ids in a network namespace; a zombie is in none any more."""
    inode = os.fstat(netns_fd).st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "ns/net").stat().st_ino == inode:
                    found.append(int(entry.name))
    return found


def kill_inhabitants(netns_fd: int, spare: set[int]) -> None:
    """SIGKILL to every process in a namespace, until none is left that could fork another.

    Raises LabError where some process outlives five seconds of it.
    """
    give_up = time.monotonic() + 5
    while doomed := [pid for pid in inhabitants(netns_fd) if pid not in spare]:
        if time.monotonic() > give_up:
            raise LabError(f"processes {doomed} in a lab namespace cannot be killed")
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _opening_folders(*needed: Path) -> list[str]:
    """A prefix that, in a mount namespace of its own, lets user 65534 reach `needed` below closed folders.

    A home of mode 0700 that holds the interpreter is covered by an empty one that shows only the way there.
    """
    ways: dict[Path, set[str]] = {}
    for path in needed:
        for folder in reversed(path.parents):
            if not folder.stat().st_mode & 0o001:
                ways.setdefault(folder, set()).add(path.relative_to(folder).parts[0])
                break
    if not ways:
        return []
    script = ""
    for folder, names in ways.items():
        script += f"cd '{folder}' && mount -t tmpfs -o mode=755 tmpfs '{folder}' && "
        script += "".join(
            f"mkdir '{folder}/{n}' && mount -c --rbind './{n}' '{folder}/{n}' && " for n in sorted(names)
        )
    return [
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
        f'd=$PWD && {script}cd "$d" && exec "$@"',
        "sh",
    ]
