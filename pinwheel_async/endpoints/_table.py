"""The API as a table: every row of every module of this package. A new row needs no entry here."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from typing_extensions import TypeIs

from pinwheel_async import endpoints
from pinwheel_async._core.endpoint import Endpoint


def _rows() -> tuple[Endpoint[Any], ...]:
    names = sorted(module.name for module in iter_modules(endpoints.__path__) if not module.name.startswith("_"))
    modules = [import_module(f"{endpoints.__name__}.{name}") for name in names]
    return tuple(value for module in modules for value in vars(module).values() if _is_row(value))


def _is_row(value: object) -> TypeIs[Endpoint[Any]]:
    return isinstance(value, Endpoint)


ENDPOINTS: tuple[Endpoint[Any], ...] = _rows()
"""Every endpoint, the deprecated ones too. Operations are unique; two of them may share method and path."""

_BY_OPERATION = {row.operation: row for row in ENDPOINTS}


def by_operation(name: str) -> Endpoint[Any]:
    """Return the row of an operation, such as `list_paystubs`.

    Raises:
        KeyError: There is none of this name.
    """
    return _BY_OPERATION[name]
