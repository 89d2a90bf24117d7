"""Command that builds the manual: `python -m pinwheel_async.docs [FOLDER]`."""

import argparse
import sys
from pathlib import Path

from pinwheel_async.docs import build
from pinwheel_async.errors import ConfigurationError


def main(arguments: list[str] | None = None) -> int:
    """Build the manual into the folder that is named, and say where it is; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pinwheel_async.docs", description="Build the manual as a web site."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("manual"), help="where to write it [manual]")
    folder: Path = parser.parse_args(arguments).folder
    try:
        build(folder)
    except ConfigurationError as error:
        print(f"pinwheel_async.docs: {error}", file=sys.stderr)
        return 2
    print(folder / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
