"""Table of the API: every row of every module of this package. A new row needs no entry here."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from typing_extensions import TypeIs

from pinwheel_async._core.endpoint import Endpoint


def _rows() -> tuple[Endpoint[Any], ...]:
    # By folder and name, because an import of the package, whose `ENDPOINTS` this is, would be a circle.
    files = iter_modules([str(Path(__file__).parent)])
    names = sorted(file.name for file in files if not file.name.startswith("_"))
    modules = [import_module(f"{__package__}.{name}") for name in names]
    return tuple(value for module in modules for value in vars(module).values() if _is_row(value))


def _is_row(value: object) -> TypeIs[Endpoint[Any]]:
    return isinstance(value, Endpoint)


ENDPOINTS: tuple[Endpoint[Any], ...] = _rows()
"""Every endpoint, the deprecated ones too. Operations are unique; two of them may share method and path."""
