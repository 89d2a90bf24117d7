"""Folders of the package: small enough to be read at a glance."""

from pathlib import Path

import pinwheel_async

PACKAGE = Path(pinwheel_async.__file__).parent

ONE_FILE_PER_THING = {"models", "events", "endpoints", "cli"}
"""Folders that grow with the API and with the commands."""


def test_folders_are_small():
    """No folder has more than 16 files, but for those that have a file for each thing."""
    counts = {
        folder.relative_to(PACKAGE).as_posix(): len(list(folder.glob("*.py")))
        for folder in {file.parent for file in PACKAGE.rglob("*.py")}
    }

    assert {} == {name: count for name, count in counts.items() if count > 16 and name not in ONE_FILE_PER_THING}
