"""Chromium of the system for tests, and pages that watch what is complained of, asked for, and kept from somebody."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from attrs import Factory, define
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import async_playwright, expect

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
DEADLINE_MS = 90_000
WIDE, NARROW = (1280, 900), (390, 844)
SCREENSHOTS = os.environ.get("PINWHEEL_ASYNC_SCREENSHOTS")
"""Folder to keep pictures in, to be looked at."""

RULES = {"resultTypes": ["violations"], "iframes": False}
"""All rules of axe-core that are on by default; each frame is looked at by itself."""


@define
class Watched:
    """A page, and what it complained of and asked for."""

    page: Any
    problems: list[str] = Factory(list)
    hosts: set[str | None] = Factory(set)
    runs_scripts: bool = True

    async def keep(self, name: str) -> None:
        """Keep a picture of the whole page, and let axe-core look for what keeps people out."""
        if SCREENSHOTS:
            await self.page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=True)
        if self.runs_scripts:
            self.problems += [f"{name}: {fault}" for fault in await accessibility_faults(self.page)]


W = TypeVar("W", bound=Watched)


async def accessibility_faults(page: Any) -> list[str]:
    """Return the faults of a page and its frames, of whatever weight: the rule, and where."""
    found: list[str] = []
    for frame in page.frames:
        await frame.evaluate(AXE_SCRIPT)
        result = await frame.evaluate("rules => axe.run(document, rules)", RULES)
        found += [
            f"{fault['id']} ({fault['impact']}) at {node['target']}: {node['failureSummary']}"
            for fault in result["violations"]
            for node in fault["nodes"]
        ]
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """Start a Chromium for a block."""
    if CHROMIUM is None:
        pytest.skip("no browser: it needs `chromium`")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=DEADLINE_MS)
        yield started
        await started.close()


@asynccontextmanager
async def watching(
    browser: Any, size: tuple[int, int] = WIDE, *, make: type[W] = Watched, **options: Any
) -> AsyncIterator[W]:
    """Open an empty page, dark if it is narrow; in the end nothing may be wrong with it."""
    scheme = "dark" if size == NARROW else "light"
    viewport = {"width": size[0], "height": size[1]}
    context = await browser.new_context(viewport=viewport, color_scheme=scheme, **options)
    context.set_default_timeout(DEADLINE_MS)
    expect.set_options(timeout=DEADLINE_MS)
    page = await context.new_page()
    made = make(page, runs_scripts=options.get("java_script_enabled", True))
    page.on("console", lambda line: made.problems.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: made.problems.append(str(error)))
    page.on("request", lambda request: made.hosts.add(urlsplit(request.url).hostname))
    yield made
    assert not made.problems, "\n".join(made.problems)  # the asserts of this file are not rewritten
    assert made.hosts - {None} <= {"127.0.0.1"}
    await context.close()
