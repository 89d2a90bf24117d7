"""Package `pinwheel_async.models`: lazy, complete, and with an error for what is not there."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import models

SOURCE = ast.parse(Path(models.__file__).read_text(encoding="utf-8"))


def test_importing_the_package_imports_no_model():
    """Importing `pinwheel_async.models` alone imports none of its files."""
    code = (
        "import sys, pinwheel_async.models; print([m for m in sys.modules if m.startswith('pinwheel_async.models.')])"
    )

    assert _run(code) == "[]"


def test_a_name_imports_only_what_it_needs():
    """Asking for `Document` imports its own file alone."""
    code = (
        "import sys; from pinwheel_async.models import Document;"
        "print([m for m in sys.modules if m.startswith('pinwheel_async.models.')])"
    )

    assert _run(code) == "['pinwheel_async.models.document']"


@pytest.mark.parametrize("name", models.__all__)
def test_every_public_name_is_there(name):
    """A public name can be had, and comes from the file that the table names."""
    value = getattr(models, name)

    assert value is getattr(sys.modules[f"pinwheel_async.{_table()[name]}"], name)


def test_all_is_sorted():
    """`__all__` is in order and names nothing twice."""
    assert sorted(set(models.__all__)) == models.__all__


def test_dir_lists_the_public_names():
    """`dir()` gives the public names before they are imported."""
    assert models.__all__ == dir(models)


def test_table_and_all_agree():
    """The run-time table has the public names, all and only."""
    assert set(models.__all__) == set(_table())


def test_checkers_see_what_runs():
    """Type checkers see each name in the file that it comes from at run time."""
    seen = {
        alias.name: (node.module or "").removeprefix("pinwheel_async.")
        for block in SOURCE.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert seen == _table()


def test_every_enum_and_class_of_the_files_is_public():
    """A file of models has no public class or enum that the package leaves out."""
    folder = Path(models.__file__).parent
    defined = {
        name
        for path in folder.glob("*.py")
        if path.stem != "__init__"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        for name in _defined(node)
    }

    core = {"MinorUnits", "Timestamp", "Year"}
    metas = {name for name in models.__all__ if name.endswith("Meta")}
    assert core | metas == set(models.__all__) - defined
    assert set() == defined - set(models.__all__)


def test_unknown_name():
    """A name that is not there is an AttributeError that says so."""
    with pytest.raises(AttributeError, match=r"'pinwheel_async\.models' has no attribute 'Paystubb'"):
        _ = models.Paystubb


def test_enum_docstrings():
    """Every enum has a docstring."""
    bare = [
        (path.name, node.target.id)
        for path in Path(models.__file__).parent.glob("*.py")
        for body in [ast.parse(path.read_text(encoding="utf-8")).body]
        for node, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]

    assert bare == []


def _table() -> dict[str, str]:
    names: dict[str, str] = vars(models)["_NAMES"]
    return {name: module for module, text in names.items() for name in text.split()}


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef):
        return [node.name]
    target: Any = node.target if isinstance(node, ast.AnnAssign) else None
    return [target.id] if isinstance(target, ast.Name) and not target.id.isupper() else []


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
