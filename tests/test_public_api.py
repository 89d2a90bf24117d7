"""Public names, docstrings, and the cost of the import."""

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pinwheel_async
from pinwheel_async import errors

PACKAGES = [
    "pinwheel_async",
    *(
        module.name
        for module in pkgutil.iter_modules(pinwheel_async.__path__, "pinwheel_async.")
        if module.ispkg and not module.name.rpartition(".")[2].startswith("_") and not module.name.endswith(".cli")
    ),
]


def _names() -> list[tuple[str, str]]:
    return [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


def _classes() -> list[type]:
    found = [getattr(importlib.import_module(package), name) for package, name in _names()]
    classes = {value for value in found if isinstance(value, type) and _is_ours(value)}
    return sorted(classes, key=lambda kind: (kind.__module__, kind.__qualname__))


def _is_ours(value: Any) -> bool:
    return getattr(value, "__module__", "").startswith("pinwheel_async")


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_sorted(package):
    """`__all__` is sorted as an index is, without repetitions."""
    names = list(importlib.import_module(package).__all__)

    assert sorted(set(names), key=_rank) == names


@pytest.mark.parametrize("package", PACKAGES)
def test_names_can_be_had(package):
    """Whatever `__all__` promises can be imported, and a star import brings it."""
    namespace: dict[str, object] = {}
    exec(f"from {package} import *", namespace)  # noqa: S102  # that is the statement to be tested

    assert set(importlib.import_module(package).__all__) <= set(namespace)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_public_is_forgotten(package):
    """A public name of ours that stands in a package is in its `__all__`."""
    module = importlib.import_module(package)
    names = {name for name, value in vars(module).items() if not name.startswith("_") and _is_ours(value)}

    assert names <= set(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_misspelt_name(package):
    """A name that is not there is an `AttributeError` that names it."""
    with pytest.raises(AttributeError, match="Paystubz"):
        _ = importlib.import_module(package).Paystubz


def test_every_error_is_public():
    """Every exception of the library can be imported from the top."""
    found = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }

    assert {name for name in found if not name.startswith("_")} <= set(pinwheel_async.__all__)


def test_version():
    """The version is that of the installed distribution."""
    assert importlib.metadata.version("pinwheel-async") == pinwheel_async.__version__


def test_every_module_has_a_docstring():
    """Every module says what it is for."""
    files = Path(pinwheel_async.__file__).parent.rglob("*.py")

    assert [] == [file for file in files if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__qualname__)
def test_docstrings(kind):
    """A public class and its public methods and properties have docstrings of their own."""
    members = {name: value for name, value in vars(kind).items() if not name.startswith("_") and _is_described(value)}
    bare = [name for name, value in {"(class)": kind, **members}.items() if not _has_docstring(value)]

    assert [] == bare


@pytest.mark.parametrize(("package", "name"), _names())
def test_functions_have_docstrings(package, name):
    """A public function has a docstring."""
    value = getattr(importlib.import_module(package), name)

    assert not inspect.isroutine(value) or _has_docstring(value)


def test_import_is_lean():
    """Importing the package brings neither a model nor what only some uses need."""
    heavy = ("aiohttp.web", "aiosqlite", "asyncpg", "cattrs", "cyclopts", "pytest", "rich", "sqlalchemy")

    assert [] == [name for name in _imported_by("import pinwheel_async") if name in heavy or _is_model(name)]


def test_client_import_is_lean():
    """Making a client brings the models, and still no server, no database and no cattrs."""
    code = "from pinwheel_async import Pinwheel; Pinwheel('secret')"

    assert {"aiohttp.web", "cattrs", "sqlalchemy"}.isdisjoint(_imported_by(code))


def test_sync_without_its_extra():
    """Importing the sync brings no database: a sink of one's own needs none."""
    assert "sqlalchemy" not in _imported_by("from pinwheel_async.sync import MemorySink, sync")


def _imported_by(code: str) -> list[str]:
    # -I: as in a program that stands elsewhere, without the current folder on its path.
    command = [sys.executable, "-I", "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def _is_model(name: str) -> bool:
    return name.startswith("pinwheel_async.models.")


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that the linter keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _is_described(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, property | ModuleType)


def _has_docstring(value: object) -> bool:
    text = inspect.getdoc(value) if isinstance(value, type) else getattr(value, "__doc__", None)
    return bool(text and text.strip())
