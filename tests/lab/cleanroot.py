"""A clean Debian 12 root file system by debootstrap, made once and kept in run/lab; tests change overlays of it. Needs root."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from lab.netns import LabUnavailableError, require_program

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
LATER = "cloud-init"  # debootstrap does not put its dependencies in order
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "curl", "ca-certificates", "python3", "python3-apt", "adduser",
    "libpango-1.0-0", "libpangoft2-1.0-0",
)  # fmt: skip
_KEPT = Path(__file__).resolve().parents[2] / "run/lab"


def clean_root() -> Path:
    """The root, never to be written. Raises LabUnavailableError without root, debootstrap or Debian's mirror."""
    if os.geteuid() != 0:
        raise LabUnavailableError("a Debian root is made by root")
    require_program("debootstrap")
    mark = hashlib.sha256(" ".join((*PACKAGES, LATER)).encode()).hexdigest()[:8]
    root = _KEPT / f"{SUITE}-{mark}"
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / f"{SUITE}-{mark}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be making it
        return root if root.exists() else _made(root)


def _made(root: Path) -> Path:
    growing = root.with_name(f"{root.name}-{os.getpid()}")
    growing.mkdir()
    include = f"--include={','.join(PACKAGES)}"
    _make(growing, ["debootstrap", "--variant=minbase", include, SUITE, str(growing), MIRROR])
    install = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {LATER} && apt-get clean"
    _make(growing, ["chroot", str(growing), "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", install])
    # It would look for a cloud at each boot; its test runs it.
    (growing / "etc/cloud/cloud-init.disabled").touch()
    growing.rename(root)
    return root


def _make(growing: Path, command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode:
        shutil.rmtree(growing)
        raise LabUnavailableError(f"{command[0]}: {done.stdout[-300:]}{done.stderr[-300:]}")
