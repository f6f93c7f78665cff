"""Every shell script of the repository."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(
    file
    for folder in ("agent", "collector", "deploy")
    for file in (ROOT / folder).rglob("*")
    if file.suffix == ".sh" or file.name in {"postinst", "prerm", "postrm"}
)


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs the Debian package shellcheck")
def test_shellcheck_finds_nothing():
    """No script has a mistake that shellcheck knows."""
    assert len(SCRIPTS) > 8
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
