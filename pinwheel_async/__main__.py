"""Entry point of `python -m pinwheel_async`: the same as the command `pinwheel-async`."""

import sys

from pinwheel_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
