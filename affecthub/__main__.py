"""`python -m affecthub` is the command `affecthub`, for launchers that want a module."""

import sys

from affecthub.hub.cli import main

if __name__ == "__main__":
    sys.exit(main())
