"""Pseudo-terminal for commands that show progress on one."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def on_terminal(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, bytes]:
    """Run a command on a terminal; return its exit code, and everything that it showed."""
    ours, theirs = os.openpty()
    variables = {**environment, "TERM": "xterm"}
    process = subprocess.Popen(command, env=variables, cwd=folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux says that the other side has closed
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    return process.wait(timeout=30), shown
