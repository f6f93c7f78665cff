"""A clean Debian 12 root file system by debootstrap, made once and kept in run/lab; tests change overlays of it. Needs root."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from lab.netns import LabUnavailableError, require_program

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
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
    mark = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:8]
    root = _KEPT / f"{SUITE}-{mark}"
    if root.exists():
        return root
    growing = _KEPT / f"{SUITE}-{mark}-{os.getpid()}"
    growing.mkdir(parents=True)
    include = f"--include={','.join(PACKAGES)}"
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", include, SUITE, str(growing), MIRROR],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(growing)
        raise LabUnavailableError(f"debootstrap: {done.stdout[-300:]}{done.stderr[-300:]}")
    shutil.rmtree(growing / "var/cache/apt/archives", ignore_errors=True)
    growing.rename(root)
    return root
