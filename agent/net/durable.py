"""Files that are there after a power cut, whole or not at all."""

import os
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Write aside, sync, rename into place, sync the directory.

    Raises OSError (a full disk) with nothing half-written left behind; a file that was there before is then
    still the old one, or already the whole new one when only the last step failed.
    """
    aside = path.with_suffix(".tmp")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
