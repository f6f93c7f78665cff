"""The image file, by its linter."""

import subprocess
import sys
from pathlib import Path

CONTAINER = Path(__file__).resolve().parents[2] / "deploy/container"


def test_the_image_file_follows_the_rules_of_hadolint():
    """hadolint finds nothing but what the file itself sets aside."""
    hadolint = Path(sys.prefix, "bin/hadolint")
    done = subprocess.run([hadolint, CONTAINER / "Containerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
