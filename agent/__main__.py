"""`python -m agent` and `lightfloor-agent`."""

import sys

from agent.cli import run_command


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
