"""The image file and its two small programs, by their linters."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONTAINER = Path(__file__).resolve().parents[2] / "deploy/container"


def test_the_image_file_follows_the_rules_of_hadolint():
    """hadolint finds nothing but what the file itself sets aside."""
    hadolint = Path(sys.prefix, "bin/hadolint")
    done = subprocess.run([hadolint, CONTAINER / "Containerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.debian
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs the Debian package shellcheck")
def test_the_entry_point_is_sound_shell():
    """shellcheck finds nothing."""
    done = subprocess.run(["shellcheck", CONTAINER / "agent.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
