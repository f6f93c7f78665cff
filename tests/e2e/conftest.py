"""What several of these tests begin with."""

from pathlib import Path

import pytest

from packages import build


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both Debian packages of this checkout."""
    folder = tmp_path_factory.mktemp("packages")
    for name in ("agent", "collector"):
        build(name, folder)
    return folder
