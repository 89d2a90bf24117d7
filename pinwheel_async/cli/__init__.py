"""Command line interface: `pinwheel-async`, or `python -m pinwheel_async`."""

import sys

_NEEDED = frozenset({"aiosqlite", "cyclopts", "rich", "sqlalchemy"})


def main() -> int:
    """Run the command that the arguments name, and return the exit code."""
    try:
        from pinwheel_async.cli._app import run  # noqa: PLC0415  # needs an extra

        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
    print("pinwheel-async needs its extra: pip install 'pinwheel-async[cli]'", file=sys.stderr)
    return 2
