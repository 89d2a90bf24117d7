"""The page that `status --html` writes: complete, self-contained, and without payroll data."""

import asyncio
import json
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import Pinwheel, RetryPolicy
from pinwheel_async.cli import _status_page
from pinwheel_async.cli._app import run
from pinwheel_async.sync import SqlSink, sync
from pinwheel_async.sync._maintenance.readings import AGES, status_with_readings
from pinwheel_async.testing import FakePinwheel, Fault
from tests.browser import NARROW, WIDE, chromium, watching

Copy = Callable[..., Path]


class Cells(HTMLParser):
    """The texts of the cells of each table, row by row, and everything that the page could load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [str(value) for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"th", "td"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag not in {"th", "td"}

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Copy a made-up workspace of 8 accounts, in which one product of one account fails, and change it by SQL."""
    monkeypatch.chdir(tmp_path)

    def make(*statements: str, fail: bool = True) -> Path:
        async def fill() -> None:
            fake = FakePinwheel(accounts=8)
            if fail:
                fake.script(Fault(status=400), operation="get_income", account_id=fake.world.account_id(3))
            retry = RetryPolicy(attempts=1)
            async with fake, Pinwheel(fake.api_secret, base_url=fake.base_url, retry=retry) as pinwheel:
                await sync(pinwheel, SqlSink("sqlite:///copy.db"), products=["income", "paystubs"])

        asyncio.run(fill())
        with closing(sqlite3.connect("copy.db")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return tmp_path / "copy.db"

    return make


def page() -> tuple[str, Cells]:
    assert 0 == run(["status", "--database", "copy.db", "--html", "state.html"])
    text = Path("state.html").read_text(encoding="utf-8")
    return text, Cells(text)


def test_what_is_shown(copy: Copy, capsys: pytest.CaptureFixture[str]):
    """Products, accounts and failures are shown, the failed account first; ids are shortened, the table is printed."""
    copy("UPDATE pinwheel_checkpoints SET begun_at = datetime(begun_at, '-3 days') WHERE product = 'paystubs'")
    failed = FakePinwheel(accounts=8).world.account_id(3)
    _, cells = page()
    products, accounts, failures = cells.tables

    assert ["income", "paystubs"] == [row[0] for row in products[1:]]
    assert ["7", "0"] == products[1][2:4]
    assert ["0", "8"] == products[2][2:4]
    assert [f"{failed[:8]}…{failed[-4:]}", "failed", "3 d"] == accounts[1]
    assert 8 == len(accounts[1:])
    assert "InvalidRequestError" == failures[1][2]
    assert "8 accounts" in capsys.readouterr().out


def test_nothing_of_the_payroll_data(copy: Copy):
    """No stored value stands in the page, and no whole id of an account or end user."""
    path = copy()
    text, _ = page()
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        stored = {
            value
            for table in tables
            if not table.startswith(("pinwheel_", "sqlite_"))
            for row in connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # ours
            for value in row
            if isinstance(value, str) and len(value) > 7 and not re.match(r"\d{4}-\d\d-\d\d", value)
        }
    assert len(stored) > 30
    assert set() == {value for value in stored if value in text}


def test_self_contained(copy: Copy):
    """The page has no script, loads nothing, and only its owner can read it."""
    copy()
    text, cells = page()

    assert ["data:,"] == cells.loaded
    assert not {"script", "img", "iframe"} & cells.tags
    assert "url(" not in text
    assert 0o600 == stat.S_IMODE(Path("state.html").stat().st_mode)


def test_hostile_ids(copy: Copy):
    """An id made of HTML is text."""
    copy("UPDATE accounts SET id = '<img src=x>' WHERE id = (SELECT min(id) FROM accounts)")
    text, cells = page()

    assert "img" not in cells.tags
    assert "&lt;img src" in text


def test_order_and_limit(copy: Copy, monkeypatch: pytest.MonkeyPatch):
    """After the failed accounts come those of which least was read, then the oldest; what is left out is counted."""
    never, oldest = (FakePinwheel(accounts=8).world.account_id(number) for number in (5, 6))
    copy(
        f"DELETE FROM pinwheel_checkpoints WHERE account_id = '{never}'",  # noqa: S608  # ours
        f"UPDATE pinwheel_checkpoints SET begun_at = datetime(begun_at, '-40 days') WHERE account_id = '{oldest}'",  # noqa: S608
    )
    monkeypatch.setattr(_status_page, "MAX_ACCOUNTS", 3)
    text, cells = page()
    shown = [row[0][:8] for row in cells.tables[1][1:]]

    assert [FakePinwheel(accounts=8).world.account_id(3)[:8], never[:8], oldest[:8]] == shown
    assert ["never", "never"] == cells.tables[1][2][1:]
    assert ["40 d", "40 d"] == cells.tables[1][3][1:]
    assert "5 more are left out" in text


async def ages(url: str, schema: str | None, now: datetime) -> dict[str, tuple[int, ...]]:
    _, readings = await status_with_readings(url, schema=schema, prefix="", now=now, limit=10)
    return dict(readings.ages)


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
async def test_ages(place: str, tmp_path: Path, request: Any):
    """Complete readings are counted by their age, on both databases."""
    url = f"sqlite:///{tmp_path / 'copy.db'}" if place == "sqlite" else request.getfixturevalue("shared_postgres")
    schema = None if place == "sqlite" else "ages"
    async with FakePinwheel(accounts=4) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, SqlSink(url, schema=schema), products=["income"])
    now = datetime.now(UTC)
    found = [await ages(url, schema, now + later) for later in (timedelta(0), *AGES)]

    assert [{"income": tuple(4 * (index == place) for index in range(4))} for place in range(4)] == found


def test_json_beside_it(copy: Copy, capsys: pytest.CaptureFixture[str]):
    """`--json` prints the same as without a page."""
    copy()
    with_page = run(["status", "--database", "copy.db", "--html", "state.html", "--json"]), capsys.readouterr().out
    without = run(["status", "--database", "copy.db", "--json"]), capsys.readouterr().out

    assert with_page == without
    assert json.loads(with_page[1])["accounts"] == 8


def test_a_path_that_cannot_be_written(copy: Copy, capsys: pytest.CaptureFixture[str]):
    """A folder that is not there is told before anything is read."""
    copy()
    code = run(["status", "--database", "copy.db", "--html", "nowhere/state.html"])

    assert 2 == code
    assert "cannot write the report to nowhere/state.html" in capsys.readouterr().err


async def test_in_a_browser(copy: Copy, tmp_path: Path):
    """A browser shows the page, dark and light, wide and narrow, without a complaint, and axe-core finds no fault."""
    moved = "UPDATE pinwheel_checkpoints SET begun_at = datetime(begun_at, '-{} days') WHERE account_id = '{}'"
    ids = [FakePinwheel(accounts=8).world.account_id(number) for number in range(8)]
    statements = [moved.format(days, ids[number]) for number, days in ((4, 2), (5, 9), (6, 40))]
    lost = f"DELETE FROM pinwheel_checkpoints WHERE account_id = '{ids[7]}' AND product = 'income'"  # noqa: S608  # ours
    await asyncio.to_thread(copy, *statements, lost)
    await asyncio.to_thread(page)
    async with chromium() as browser:
        for size in (WIDE, NARROW):
            async with watching(browser, size) as watched:
                await watched.page.goto((tmp_path / "state.html").as_uri())
                await watched.keep(f"status-{size[0]}")
                assert await watched.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
