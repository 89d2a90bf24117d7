"""`python -m pinwheel_async` does what the command `pinwheel-async` does."""

import sys

from pinwheel_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
