"""Where the shared field data lies; tests that need it are skipped with a reason where it is absent."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[1].parent / "shared/data"))


def field_file(path):
    """The bytes of one file of the field data, or a skipped test."""
    full = FOLDER / path
    if not full.exists():
        pytest.skip(f"no field data at {FOLDER}")
    return full.read_bytes()


def field_table(path):
    """The rows of one tab-separated table of the field data, by its heading."""
    heading, *rows = field_file(path).decode().splitlines()
    return [dict(zip(heading.split("\t"), row.split("\t"), strict=False)) for row in rows if row]
