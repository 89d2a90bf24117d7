"""Pages of the manual: their Python runs, each page as one session, against the fake."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import Pinwheel, settings
from pinwheel_async.docs._build import PAGES
from pinwheel_async.testing import FakePinwheel

SOURCES = sorted(PAGES.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```\{code-block\} python\n(?::.*\n)*(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [path for path in SOURCES if BLOCK.search(path.read_text(encoding="utf-8"))]
WITH_OTHER_CODE = [path for path in SOURCES if SHOWN.search(path.read_text(encoding="utf-8"))]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """What the pages say that there is: a secret, an account, an open client. The sandbox is a fake."""
    monkeypatch.chdir(tmp_path)
    async with FakePinwheel(accounts=3) as fake:
        monkeypatch.setitem(settings.BASE_URLS, "sandbox", fake.base_url)
        monkeypatch.setenv(settings.SECRET_VARIABLE, fake.api_secret)
        async with Pinwheel() as pinwheel:
            account_id = next(fake.world.account_ids())
            yield {"api_secret": fake.api_secret, "account_id": account_id, "pinwheel": pinwheel, "__name__": "page"}


@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: path.relative_to(PAGES).as_posix())
async def test_python(names: dict[str, Any], path: Path) -> None:
    """Every Python block of a page runs, one after the other; then the tests that they define."""
    for number, match in enumerate(BLOCK.finditer(path.read_text(encoding="utf-8")), 1):
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile(match[1], f"{path.name}, block {number}", "exec", flags=flags)
        if "asyncio.run(" in match[1]:  # a program has a loop of its own
            await asyncio.to_thread(eval, compiled, names)
            continue
        result = eval(compiled, names)  # noqa: S307  # that is what is tested
        if inspect.isawaitable(result):
            await result
    for name in [name for name in names if name.startswith("test_")]:
        await names[name]()


@pytest.mark.parametrize("path", WITH_OTHER_CODE, ids=lambda path: path.relative_to(PAGES).as_posix())
def test_other_code(path: Path) -> None:
    """Code that is only shown can be compiled, and imports of the library what there is."""
    for code in SHOWN.findall(path.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pinwheel_async"):
                module = __import__(str(node.module), fromlist=["x"])
                assert [] == [alias.name for alias in node.names if not hasattr(module, alias.name)]
