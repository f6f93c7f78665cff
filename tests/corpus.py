"""Where the shared field data is, for tests marked corpus."""

import os
from pathlib import Path

import pytest


def corpus_file(name: str) -> Path:
    """A file of the field data; skips the test, with the reason, where it is not."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("LIGHTFLOOR_CORPUS", beside))
    path = root / name
    if not path.exists():
        pytest.skip(f"{path} is not here; LIGHTFLOOR_CORPUS says where the field data is")
    return path
