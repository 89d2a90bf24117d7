"""Command `migrate` as a process of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_migrate(run: Run, postgres: str):
    """`migrate` makes the tables of a copy, an inbox and a rate, and finds nothing to do the second time."""
    place = (
        "--database",
        postgres,
        "--schema",
        "copy",
        "--inbox",
        postgres,
        "--inbox-schema",
        "inbox",
        "--pace",
        postgres,
    )

    first, second = run("migrate", *place), run("migrate", *place)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "".join(f"{what}: made or brought up to date\n" for what in ("copy", "inbox", "pace"))
    assert second.stdout == "copy: up to date\ninbox: up to date\npace: up to date\n"
    assert run("inbox", "counts", "--inbox", postgres, "--inbox-schema", "inbox").returncode == 0


def test_inbox_of_the_environment(run: Run, postgres: str):
    """The inbox may come from the variable that other commands take it from."""
    assert run("migrate", PINWHEEL_INBOX=postgres).stdout == "inbox: made or brought up to date\n"


def test_nothing_to_migrate(run: Run, tmp_path: Path):
    """Without a copy or an inbox in PostgreSQL there is nothing that `migrate` could mean."""
    nothing, file = run("migrate"), run("migrate", "--inbox", "inbox.db")

    assert (nothing.returncode, file.returncode) == (2, 2)
    assert "say what to bring up to date" in nothing.stderr
    assert "when it is opened" in file.stderr
    assert not [*tmp_path.iterdir()]
