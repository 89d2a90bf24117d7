"""Command `pinwheel-async deploy`: prints files that run receivers, workers and a nightly sync."""

from importlib.resources import files
from typing import Literal, TypeAlias

System: TypeAlias = Literal["compose", "kubernetes", "systemd"]

_FILES: dict[System, str] = {"compose": "compose.yaml", "kubernetes": "kubernetes.yaml", "systemd": "systemd.txt"}


def deploy(system: System, /) -> None:
    """Print files to begin from, for receivers, workers and a nightly sync over PostgreSQL. Comments say what is yours.

    Parameters
    ----------
    system:
        What runs them.
    """
    print((files("pinwheel_async.cli") / "deploy" / _FILES[system]).read_text(encoding="utf-8"), end="")
