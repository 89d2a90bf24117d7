"""Public names of the library, and the one package under which each is described."""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

MODULES = ("pinwheel_async.converters", "pinwheel_async.otel")
"""Public modules that are no packages, and say so by their docstrings instead of an `__all__`."""


@cache
def packages() -> tuple[str, ...]:
    """Return the public packages: those that have an `__all__`."""
    found = (
        module.name
        for module in pkgutil.iter_modules([str(Path(__file__).parents[1])], "pinwheel_async.")
        if module.ispkg and not module.name.startswith("pinwheel_async._") and module.name != "pinwheel_async.cli"
    )
    return ("pinwheel_async", *found)


@cache
def public() -> Mapping[str, Any]:
    """Return every public name, with its package, and what it stands for."""
    found = {
        f"{package}.{name}": getattr(import_module(package), name) for package in packages() for name in _all(package)
    }
    for module in MODULES:
        for name, value in vars(import_module(module)).items():
            if not name.startswith("_") and getattr(value, "__module__", None) == module:
                found[f"{module}.{name}"] = value
    return MappingProxyType(found)


@cache
def described() -> Mapping[str, Any]:
    """Return the public names without those under which something comes a second time."""
    found: dict[str, Any] = {}
    seen: set[tuple[str, int]] = set()
    for name, value in public().items():
        mark = (name.rpartition(".")[2], id(value))
        if mark not in seen:
            found[name] = value
        seen.add(mark)
    return MappingProxyType(found)


@cache
def homes() -> Mapping[str, str]:
    """Return the public name of every class and function by its private one, and every other public name of it."""
    by_id = {(name.rpartition(".")[2], id(value)): name for name, value in reversed([*described().items()])}
    found = {name: by_id[name.rpartition(".")[2], id(value)] for name, value in public().items()}
    for name, value in described().items():
        if isinstance(value, type) or callable(value):
            found[f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"] = name
    return MappingProxyType(found)


@cache
def by_word() -> Mapping[str, str]:
    """Return the public name by its last word; of several that of the package that comes first."""
    return MappingProxyType({name.rpartition(".")[2]: name for name in reversed([*described()])})


def _all(package: str) -> tuple[str, ...]:
    return tuple(import_module(package).__all__)
