"""How much room a directory's disk has."""

import os
from pathlib import Path


def free_bytes(directory: Path) -> int:
    """What an unprivileged process may still write where the directory is, or will be made. Raises OSError."""
    there = directory.absolute()
    while not there.exists():
        there = there.parent
    status = os.statvfs(there)
    return status.f_bavail * status.f_frsize
