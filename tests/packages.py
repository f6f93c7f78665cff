"""The Debian packages, built from this checkout, and the fleet of two that is installed with them."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TWO_NODES = """
[[providers]]
name = "one"
[[sites]]
name = "fra"
iata = "FRA"
[[nodes]]
name = "fra-1"
provider = "one"
site = "fra"
ipv4 = "127.0.0.1"
[[nodes]]
name = "fra-2"
provider = "one"
site = "fra"
ipv4 = "127.0.0.2"
[[groups]]
name = "all"
shape = "mesh"
probes = [{ kind = "tcp", interval_seconds = 0.2 }]
"""


def build(name: str, directory: Path, *, python: str = "3.11", architecture: str = "amd64") -> Path:
    """Build lightfloor-NAME into the directory, hardly compressed. Raises AssertionError with what the build said."""
    command = [str(ROOT / "deploy/package/deb.sh"), name, str(directory), python, architecture]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "COMPRESSION": "none"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = directory.glob(f"lightfloor-{name}_*py{python}_{architecture}.deb")
    return package
