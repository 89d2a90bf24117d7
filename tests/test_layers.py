"""Import rules: the layers of the package, no circles, and the few files that may know a third party."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import pinwheel_async

PACKAGE = Path(pinwheel_async.__file__).parent

LAYERS = (
    {"_lazy", "_privacy", "_response", "_version", "errors"},
    {"_core"},
    {"models", "settings", "products", "converters"},
    {"events", "endpoints", "link"},
    {"_clock", "_http", "_memory_values", "_postgres", "_sqlite", "webhooks"},
    {"snapshot", "client"},
    {"sync", "otel"},
    {"testing"},
    {"cli", "quickstart", "__init__", "__main__"},
    {"docs"},
)
"""Lowest first. A module imports from its own layer or from below."""

APART = {
    "testing/_world": ("testing._api", "testing._webhooks", "testing._control"),
    "testing/_api": ("testing._webhooks", "testing._control"),
    "testing/_webhooks": ("testing._api", "testing._control"),
}
"""Folders of one layer, and which of their neighbours they must not know."""

_WIRE = (
    "_http/send.py",
    "_http/caller.py",
    "_http/download.py",
    "client.py",
    "webhooks/_app.py",
    "webhooks/_body.py",
    "webhooks/_inspector/",
    "testing/_fake.py",
    "testing/_harness.py",
    "testing/_recorder/",
    "testing/_webhooks/sender.py",
    "quickstart/",
    "cli/",
    "docs/pages/",
)
_HEADERS = (*_WIRE, "_http/prepare.py")
_SQL = ("sync/_sql/", "sync/_fleet/", "sync/_history/", "sync/_maintenance/", "sync/_files/", "sync/_views/")

ONLY_IN = {
    "aiohttp": _WIRE,
    "multidict": _HEADERS,
    "yarl": _HEADERS,
    "attrs": ("",),
    "typing_extensions": ("",),
    "cattrs": ("_core/converter.py",),
    "msgspec": ("_core/", "_http/raw.py", "testing/"),
    "cryptography": ("webhooks/_inbox/encryption.py",),
    "sqlalchemy": (*_SQL, "docs/_reference/tables.py"),
    "aiosqlite": (*_SQL, "quickstart/"),
    "asyncpg": (*_SQL, "_postgres/driver.py"),
    "pyarrow": ("sync/_files/arrow.py",),
    "fsspec": ("sync/_files/remote.py",),
    "opentelemetry": ("otel.py",),
    "rich": ("cli/",),
    "cyclopts": ("cli/",),
    "pytest": ("testing/plugin.py",),
    "sphinx": ("docs/",),
    "docutils": ("docs/",),
    "docstring_parser": ("docs/",),
    "receiver": ("docs/pages/",),  # a program of the tutorial, which its tests import
    "django": ("docs/pages/",),
    "fastapi": ("docs/pages/",),
    "aio_pika": ("docs/pages/",),
    "nats": ("docs/pages/",),
    "starlette": ("docs/pages/",),
    "pytest_asyncio": ("testing/plugin.py",),
}
"""Third parties and where they may be imported; whatever is not named here may be imported nowhere."""

IMPURE = {"asyncio", "os", "random", "secrets", "socket", "ssl", "subprocess", "threading", "time"}
"""What the core and the models do without: they are functions of bytes and values."""

PURE = {"_core", "models", "events"}

SHARED_BY_COMMANDS = {"_forward", "_options", "_render", "_report_file", "_server", "_signals", "_status_page"}
"""Modules of the command line that commands may import; every other one is a command, and stands alone."""


def violations(package: Path) -> list[str]:
    """Name every import in *package* that the tables above rule out."""
    return [problem for file in sorted(package.rglob("*.py")) for problem in _problems(file, package)]


def test_layers():
    """The package keeps its layers and its third parties in their places."""
    assert not violations(PACKAGE)


def circle(package: Path) -> list[str]:
    """Return modules that import one another in a circle, at run time or for type checkers; empty if none do."""
    files = {_module(file.relative_to(package)): file for file in package.rglob("*.py")}
    imports = {
        name: {
            imported.removesuffix(".__init__")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file)))
            for imported in _imported(node, file.relative_to(package), package)
        }
        for name, file in files.items()
    }
    try:
        TopologicalSorter({name: (imports[name] & set(files)) - {name} for name in files}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_circle():
    """No module imports itself by way of others, not even for type checkers."""
    assert not circle(PACKAGE)


@pytest.mark.parametrize(
    "code",
    [
        "from pinwheel_async.endpoints._base import Caller",
        "from pinwheel_async.endpoints import _base",
        "import pinwheel_async.endpoints._base",
        "if TYPE_CHECKING:\n    from .endpoints._base import Caller",
        "def f():\n    from pinwheel_async.endpoints._base import Caller",
    ],
)
def test_planted_circle(tmp_path, code):
    """A circle is found, whatever form its imports have, and named in the order of the imports."""
    _plant(tmp_path, "client.py", code)
    _plant(tmp_path, "endpoints/_base.py", "from pinwheel_async._http import send")
    _plant(tmp_path, "_http/send.py", "from pinwheel_async.client import Pinwheel")
    found = circle(tmp_path)

    assert found[0] == found[-1]
    following = dict(pairwise(found))
    assert following == {
        "pinwheel_async.client": "pinwheel_async.endpoints._base",
        "pinwheel_async.endpoints._base": "pinwheel_async._http.send",
        "pinwheel_async._http.send": "pinwheel_async.client",
    }


def test_planted_circle_with_a_package(tmp_path):
    """A package takes part in a circle by its `__init__.py`."""
    _plant(tmp_path, "endpoints/__init__.py", "from pinwheel_async.endpoints._table import ENDPOINTS")
    _plant(tmp_path, "endpoints/_table.py", "from pinwheel_async import endpoints")

    assert {"pinwheel_async.endpoints", "pinwheel_async.endpoints._table"} == set(circle(tmp_path))


def test_every_module_has_a_layer():
    """A new module is given its place before it is written."""
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert names <= set().union(*LAYERS)


@pytest.mark.parametrize(
    ("file", "code", "problem"),
    [
        ("models/a.py", "from pinwheel_async.client import Pinwheel", "models/a.py:1 imports pinwheel_async.client"),
        ("models/a.py", "from pinwheel_async import client", "models/a.py:1 imports pinwheel_async.client"),
        ("models/a.py", "import pinwheel_async.sync._run.run", "models/a.py:1 imports pinwheel_async.sync._run.run"),
        ("sync/a.py", "from ..testing import FakePinwheel", "sync/a.py:1 imports pinwheel_async.testing"),
        ("client.py", "def f():\n    import pinwheel_async.cli", "client.py:2 imports pinwheel_async.cli"),
        ("client.py", "from pinwheel_async import Pinwheel", "client.py:1 imports pinwheel_async.__init__"),
        ("endpoints/a.py", "import pinwheel_async.endpoints.b", "endpoints/a.py:1 imports pinwheel_async.endpoints.b"),
        ("cli/_a.py", "from pinwheel_async.cli._sync import f", "cli/_a.py:1 imports pinwheel_async.cli._sync"),
        ("cli/_render.py", "import pinwheel_async.cli._sync", "cli/_render.py:1 imports pinwheel_async.cli._sync"),
        ("_core/a.py", "import aiohttp", "_core/a.py:1 imports aiohttp"),
        ("_core/a.py", "from asyncio import sleep", "_core/a.py:1 imports asyncio"),
        ("_core/a.py", "async def f(): ...", "_core/a.py:1 awaits"),
        ("_core/convert.py", "import cattrs.preconf.json", "_core/convert.py:1 imports cattrs.preconf.json"),
        ("sync/_run.py", "import sqlalchemy", "sync/_run.py:1 imports sqlalchemy"),
        ("testing/_fake.py", "import rich", "testing/_fake.py:1 imports rich"),
        (
            "testing/_world/a.py",
            "from pinwheel_async.testing._api.request import Call",
            "testing/_world/a.py:1 imports pinwheel_async.testing._api.request",
        ),
        (
            "testing/_webhooks/a.py",
            "from pinwheel_async.testing import _api",
            "testing/_webhooks/a.py:1 imports pinwheel_async.testing._api",
        ),
        ("client.py", "import requests", "client.py:1 imports requests"),
    ],
)
def test_planted_import(tmp_path, file, code, problem):
    """A planted import is found and named."""
    _plant(tmp_path, "endpoints/b.py", "")
    _plant(tmp_path, "testing/_api/request.py", "")
    _plant(tmp_path, file, code)

    assert [problem] == [found.partition(",")[0] for found in violations(tmp_path)]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("client.py", "import asyncio, aiohttp\nfrom pinwheel_async.errors import ClosedError"),
        ("endpoints/a.py", "from pinwheel_async.endpoints._base import Endpoints"),
        ("endpoints/_table.py", "from pinwheel_async.endpoints import b"),
        ("cli/demo.py", "import rich\nfrom pinwheel_async import Pinwheel"),
        ("testing/_api/a.py", "from pinwheel_async.testing._world.world import World"),
        ("cli/_sync.py", "from pinwheel_async.cli._render import print_report"),
        ("cli/__init__.py", "from pinwheel_async.cli._app import run"),
        ("_core/convert.py", "from msgspec import Raw\nfrom pinwheel_async._core.scalars import Walk"),
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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")


def _module(place: Path) -> str:
    """Return the full name of the module in a file."""
    return ".".join(("pinwheel_async", *place.with_suffix("").parts)).removesuffix(".__init__")


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
                is_module = (folder / f"{alias.name}.py").exists() or (folder / alias.name).is_dir()
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
    neighbours = APART.get(place.parent.as_posix(), ())
    if any(f"{name}.".startswith(f"pinwheel_async.{neighbour}.") for neighbour in neighbours):
        return f"and {place.parent.as_posix()} must not know its neighbours"
    if here == there == "cli" and place.stem != "__init__" and name.rpartition(".")[2] not in SHARED_BY_COMMANDS:
        return "and one command must not know another"
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
