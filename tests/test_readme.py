"""README: its Python runs, its commands are the gate's; and what chapters of the manual list is the library's."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import pinwheel_async
from pinwheel_async import Pinwheel, errors, settings
from pinwheel_async.testing import FakePinwheel

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pinwheel_async"
PAGES = PACKAGE / "docs" / "pages"
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakePinwheel]:
    """What the README says that there is: a secret in the environment. The sandbox is a fake."""
    monkeypatch.chdir(tmp_path)
    async with FakePinwheel(accounts=3) as fake:
        monkeypatch.setitem(settings.BASE_URLS, "sandbox", fake.base_url)
        monkeypatch.setenv(settings.SECRET_VARIABLE, fake.api_secret)
        yield fake


@pytest.mark.parametrize("number", range(1, 4))
async def test_python(sandbox: FakePinwheel, number: int) -> None:
    """Each of the three programs runs by itself, in a thread, as it has an event loop of its own."""
    compiled = compile(PYTHON[number - 1], f"README program {number}", "exec")
    await asyncio.to_thread(eval, compiled, {"__name__": "readme"})


def test_three_programs():
    """There are three programs, so that each of them is run."""
    assert len(PYTHON) == 3


def test_length():
    """The README stays under 300 lines: chapters stand in the manual."""
    assert README.count("\n") < 300


def test_every_page_is_named():
    """Every page of the manual that is written by hand is in the table of contents, as a file to be read."""
    found = PAGES.rglob("*.md")
    pages = {path.relative_to(ROOT).as_posix() for path in found if path.name != "index.md"}

    assert [] == sorted(page for page in pages if f"({page})" not in README)


def test_commands_in_the_gate():
    """Both commands that a clone begins with are one line each, and the gate runs them as they stand."""
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install_and = [line for line in SHELL if line.startswith("pip install '.[")][:2]

    assert ["pinwheel-async demo", "pytest"] == [line.partition(" && ")[2] for line in install_and]
    assert "readme_line pytest" in gate
    assert "readme_line 'pinwheel-async demo'" in gate


def test_extras():
    """Every extra that is named can be installed."""
    declared = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"'\.\[(\w+)\]'", README)) <= declared


def test_benchmarks():
    """README and manual have the same table of benchmarks, between the marks where the benchmarks put it."""
    marks = re.compile("<!-- benchmarks: begin -->\n.*<!-- benchmarks: end -->\n", re.DOTALL)

    assert marks.findall(README) == marks.findall(_page("explanation/performance")) != []


def test_error_tree():
    """The tree of errors in the manual is that of the library, and every public error stands in it."""
    page = _page("how-to/errors")
    tree = inspect.cleandoc(errors.__doc__ or "").split("```")[1]

    assert [] == [line for line in tree.splitlines() if line not in page]
    assert [] == [name for name in pinwheel_async.__all__ if name.endswith("Error") and name not in tree]


def test_groups():
    """Every group of endpoints is named in the first steps."""
    page = _page("tutorial/first-steps")
    groups = [name for name, hint in Pinwheel.__annotations__.items() if str(hint).strip("'\"").endswith("Endpoints")]

    assert [] == [name for name in groups if f"`{name}`" not in page]


def test_defaults():
    """The table of settings in the chapter about retries has the defaults of the client."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(Pinwheel).parameters.items()}
    found = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", _page("explanation/guarantees"), re.MULTILINE))

    assert {"timeout_s", "attempt_timeout_s", "concurrency", "requests_per_s"} <= set(found)
    assert [] == [
        name for name, shown in found.items() if (None if shown == "none" else float(shown)) != defaults.get(name)
    ]


def test_map():
    """Every folder of the package, and every file at its top, is in the map with what it is for."""
    folders = {file.parent.relative_to(PACKAGE).as_posix() + "/" for file in PACKAGE.rglob("__init__.py")} - {"./"}
    files = {file.name for file in PACKAGE.glob("*.py") if not file.stem.startswith("__")}

    assert folders | files == set(_map())


def test_links():
    """Every link to a file leads to one."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert [] == [target for target in targets if not (ROOT / target).exists()]


def _map() -> list[str]:
    """Return the paths of the map of the package, those of folders with a slash at the end."""
    (tree,) = [code for language, code in BLOCKS if language == "text" and code.startswith("pinwheel_async/\n")]
    paths: list[str] = []
    for line in tree.splitlines()[1:]:
        branch, name = re.fullmatch(r"([│ ]  )?[├└]─ (\S+) +\S.*", line).groups()  # type: ignore[union-attr]  # or it fails
        above = next(path for path in reversed(paths) if path.count("/") == 1) if branch else ""
        paths.append(above + name)
    return paths


def _page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")
