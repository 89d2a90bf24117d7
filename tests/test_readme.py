"""The README is true: its Python runs, its commands are the gate's, its tree of errors is the library's."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

import pinwheel_async
from pinwheel_async import Pinwheel, errors, settings
from pinwheel_async.testing import FakePinwheel

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """What the README says that there is: a secret, an account, an open client. The sandbox is a fake."""
    monkeypatch.chdir(tmp_path)
    async with FakePinwheel(accounts=3) as fake:
        monkeypatch.setitem(settings.BASE_URLS, "sandbox", fake.base_url)
        monkeypatch.setenv(settings.SECRET_VARIABLE, fake.api_secret)
        async with Pinwheel() as pinwheel:
            account_id = next(fake.world.account_ids())
            yield {"api_secret": fake.api_secret, "account_id": account_id, "pinwheel": pinwheel, "__name__": "readme"}


async def test_python(names: dict[str, Any]) -> None:
    """Every Python block runs, one after the other, as in one session."""
    for number, code in enumerate(PYTHON, 1):
        run = eval if "asyncio.run(" not in code else _in_thread  # a program has a loop of its own
        compiled = compile(code, f"README block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = run(compiled, names)
        if inspect.isawaitable(result):
            await result

    assert len(PYTHON) > 10


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


def test_error_tree():
    """The tree of errors is that of the library, and every public error stands in it."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("```")[1]

    assert [] == [line for line in tree.splitlines() if line not in README]
    assert [] == [name for name in pinwheel_async.__all__ if name.endswith("Error") and name not in tree]


def test_groups():
    """Every group of endpoints is named."""
    groups = [name for name, hint in Pinwheel.__annotations__.items() if str(hint).strip("'\"").endswith("Endpoints")]

    assert [] == [name for name in groups if f"`{name}`" not in README]


def test_defaults():
    """The table of settings has the defaults of the client."""
    defaults = {name: one.default for name, one in inspect.signature(Pinwheel).parameters.items()}
    found = dict(re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", README, re.MULTILINE))

    assert {"timeout_s", "attempt_timeout_s", "concurrency", "requests_per_s"} <= set(found)
    assert [] == [
        name for name, shown in found.items() if (None if shown == "none" else float(shown)) != defaults.get(name)
    ]


def test_links():
    """Every link to a file leads to one."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert [] == [target for target in targets if not (ROOT / target).exists()]


def _in_thread(code: Any, names: dict[str, Any]) -> Awaitable[None]:
    return asyncio.to_thread(eval, code, names)
