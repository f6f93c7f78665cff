"""`python -m collector` and the installed command lightfloor-collector."""

import sys

from collector.cli import main

if __name__ == "__main__":
    sys.exit(main())
