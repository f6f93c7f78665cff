"""Where the shared field data lies; tests that need it are skipped with a reason where it is absent."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("LIGHTFLOOR_CORPUS", Path(__file__).resolve().parents[1].parent / "shared/data"))


def corpus_file(name):
    """A file of the field data, or a skipped test."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no field data at {path}; LIGHTFLOOR_CORPUS says where it is")
    return path


def field_file(name):
    """The bytes of one file of the field data, or a skipped test."""
    return corpus_file(name).read_bytes()


def field_table(name):
    """The rows of one tab-separated table of the field data, by its heading."""
    heading, *rows = field_file(name).decode().splitlines()
    return [dict(zip(heading.split("\t"), row.split("\t"), strict=False)) for row in rows if row]
