"""Who may import whom: the layers of the package, and the few files that may know a third party."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pinwheel_async

PACKAGE = Path(pinwheel_async.__file__).parent

LAYERS = (
    {"errors", "_version"},
    {"_core"},
    {"models", "settings", "products"},
    {"events", "endpoints", "link"},
    {"_clock", "_gate", "_hop", "_watch", "_fetch", "_http", "webhooks"},
    {"snapshot", "client"},
    {"sync"},
    {"testing"},
    {"cli", "__init__", "__main__"},
)
"""Lowest first. A module imports from its own layer or from below."""

_WIRE = ("_fetch.py", "_http.py", "client.py", "webhooks/_app.py", "testing/_server.py", "testing/_sender.py", "cli/")
_HEADERS = (*_WIRE, "_hop.py")
_SQL = ("sync/_sql", "sync/_tables.py", "sync/_export", "sync/_erasure.py", "sync/_status")

ONLY_IN = {
    "aiohttp": _WIRE,
    "multidict": _HEADERS,
    "yarl": _HEADERS,
    "attrs": ("",),
    "typing_extensions": ("",),
    "cattrs": ("_core/lenient.py",),
    "msgspec": ("_core/convert.py", "_core/fields.py", "_core/lanes.py", "_core/lean.py", "_core/shape.py", "testing/"),
    "cryptography": ("webhooks/_sealing.py",),
    "sqlalchemy": _SQL,
    "aiosqlite": _SQL,
    "asyncpg": _SQL,
    "pyarrow": ("sync/_parquet_arrow.py",),
    "rich": ("cli/",),
    "cyclopts": ("cli/",),
    "pytest": ("testing/plugin.py",),
}
"""Third parties and where they may be imported; whatever is not named here may be imported nowhere."""

IMPURE = {"asyncio", "os", "random", "secrets", "socket", "ssl", "subprocess", "threading", "time"}
"""What the core and the models do without: they are functions of bytes and values."""

PURE = {"_core", "models", "events"}


def violations(package: Path) -> list[str]:
    """Name every import in *package* that the tables above rule out."""
    return [problem for file in sorted(package.rglob("*.py")) for problem in _problems(file, package)]


def test_layers():
    """The package keeps its layers and its third parties in their places."""
    assert not violations(PACKAGE)


def test_every_module_has_a_layer():
    """A new module is given its place before it is written."""
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert names <= set().union(*LAYERS)


@pytest.mark.parametrize(
    ("file", "code", "problem"),
    [
        ("models/a.py", "from pinwheel_async.client import Pinwheel", "models/a.py:1 imports pinwheel_async.client"),
        ("models/a.py", "from pinwheel_async import client", "models/a.py:1 imports pinwheel_async.client"),
        ("models/a.py", "import pinwheel_async.sync._run", "models/a.py:1 imports pinwheel_async.sync._run"),
        ("sync/a.py", "from ..testing import FakePinwheel", "sync/a.py:1 imports pinwheel_async.testing"),
        ("client.py", "def f():\n    import pinwheel_async.cli", "client.py:2 imports pinwheel_async.cli"),
        ("client.py", "from pinwheel_async import Pinwheel", "client.py:1 imports pinwheel_async.__init__"),
        ("endpoints/a.py", "import pinwheel_async.endpoints.b", "endpoints/a.py:1 imports pinwheel_async.endpoints.b"),
        ("_core/a.py", "import aiohttp", "_core/a.py:1 imports aiohttp"),
        ("_core/a.py", "from asyncio import sleep", "_core/a.py:1 imports asyncio"),
        ("_core/a.py", "async def f(): ...", "_core/a.py:1 awaits"),
        ("_core/convert.py", "import cattrs.preconf.json", "_core/convert.py:1 imports cattrs.preconf.json"),
        ("sync/_run.py", "import sqlalchemy", "sync/_run.py:1 imports sqlalchemy"),
        ("testing/_server.py", "import rich", "testing/_server.py:1 imports rich"),
        ("client.py", "import requests", "client.py:1 imports requests"),
    ],
)
def test_planted_import(tmp_path, file, code, problem):
    """A planted import is found and named."""
    _plant(tmp_path, "endpoints/b.py", "")
    _plant(tmp_path, file, code)

    assert [problem] == [found.partition(",")[0] for found in violations(tmp_path)]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("client.py", "import asyncio, aiohttp\nfrom pinwheel_async.errors import ClosedError"),
        ("endpoints/a.py", "from pinwheel_async.endpoints._base import Endpoints"),
        ("endpoints/_table.py", "from pinwheel_async.endpoints import b"),
        ("cli/demo.py", "import rich\nfrom pinwheel_async import Pinwheel"),
        ("_core/convert.py", "from msgspec import Raw\nfrom pinwheel_async._core.exact import Walk"),
        ("models/a.py", "from .b import B"),
    ],
)
def test_allowed_import(tmp_path, file, code):
    """An import downwards, within a layer, or of a third party in its place is no problem."""
    _plant(tmp_path, "endpoints/b.py", "")
    _plant(tmp_path, file, code)

    assert not violations(tmp_path)


def _plant(package: Path, file: str, code: str) -> None:
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(code, encoding="utf-8")


def _problems(file: Path, package: Path) -> Iterator[str]:
    place = file.relative_to(package)
    part = place.parts[0].removesuffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    for node in ast.walk(tree):
        at = f"{place.as_posix()}:{getattr(node, 'lineno', 0)}"
        if part in {"_core", "models"} and isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor):
            yield f"{at} awaits, and {part} must not"
        for name in _imported(node, place, package):
            problem = _inward(name, place) if name.startswith("pinwheel_async.") else _outward(name, place.as_posix())
            if problem:
                yield f"{at} imports {name}, {problem}"


def _imported(node: ast.AST, place: Path, package: Path) -> Iterator[str]:
    """Yield the full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = ("pinwheel_async", *place.parent.parts)[: len(place.parts) - node.level + 1]
            base = ".".join((*above, *([base] if base else [])))
        if base.split(".")[0] != "pinwheel_async":
            yield base
            return
        folder = package.joinpath(*base.split(".")[1:])
        for alias in node.names:
            if base == "pinwheel_async":
                known = alias.name in set().union(*LAYERS)
                yield f"{base}.{alias.name if known else '__init__'}"
            else:
                is_module = (folder / f"{alias.name}.py").exists()
                yield f"{base}.{alias.name}" if is_module else base


def _inward(name: str, place: Path) -> str | None:
    """Return what is wrong with importing a module of ours, if anything."""
    here, there = place.parts[0].removesuffix(".py"), name.split(".")[1]
    if _height(there) > _height(here):
        return f"which lies above {here}"
    in_group = here == "endpoints" and not place.stem.startswith("_")
    other_group = there == "endpoints" and not name.rpartition(".")[2].startswith("_")
    if in_group and other_group:
        return "and one group of endpoints must not know another"
    return None


def _height(part: str) -> int:
    return next((height for height, parts in enumerate(LAYERS) if part in parts), len(LAYERS))


def _outward(name: str, place: str) -> str | None:
    """Return what is wrong with importing a module that is not ours, if anything."""
    root = name.partition(".")[0]
    if root in IMPURE and place.partition("/")[0] in PURE:
        return "which is not a function of its arguments"
    if root in ONLY_IN:
        return None if place.startswith(ONLY_IN[root]) else f"which only {', '.join(ONLY_IN[root])} may"
    return None if root in sys.stdlib_module_names else "which is not a dependency"
