"""`make world`: five cities on four continents on this machine, an agent in each, one collector, the page left open.

Needs root. Ctrl-C ends it and leaves nothing behind but the folder run/world with logs and the store.
"""

import argparse
import shutil
import sys
import time
import unittest
from pathlib import Path

from lab.cities import five_cities
from lab.deployment import ROOT, deployed


def main() -> int:
    """Build, show where the page is, wait."""
    parser = argparse.ArgumentParser(
        description="Five cities with emulated delays, five agents, one collector."
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end by itself after this long")
    parser.add_argument("--window", type=int, default=60, help="length of a window in seconds (default 60)")
    arguments = parser.parse_args()
    folder = ROOT / "run" / "world"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return _run(folder, arguments.seconds, arguments.window)
    except unittest.SkipTest as reason:
        print(f"make world: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _run(folder: Path, seconds: float, window_seconds: int) -> int:
    with five_cities() as cities, deployed(cities, folder, window_seconds=window_seconds) as deployment:
        print(
            f"page {deployment.page}   logs {folder}/*.log   first verdicts in about a minute   Ctrl-C ends",
            flush=True,
        )
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not deployment.alive():
                print(f"make world: a program ended; see {folder}/*.log", file=sys.stderr)
                return 1
            time.sleep(min(1.0, max(0.0, until - time.monotonic())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
