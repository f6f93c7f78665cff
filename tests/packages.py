"""The Debian packages, built from this checkout."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(name: str, directory: Path, *, python: str = "3.11", architecture: str = "amd64") -> Path:
    """Build lightfloor-NAME into the directory, hardly compressed. Raises AssertionError with what the build said."""
    command = [str(ROOT / "deploy/package/deb.sh"), name, str(directory), python, architecture]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "COMPRESSION": "none"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = directory.glob(f"lightfloor-{name}_*py{python}_{architecture}.deb")
    return package
