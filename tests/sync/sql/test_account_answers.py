"""Answers about an account and lists of accounts count by when they were asked for, in whichever order they arrive."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs
import pytest
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pinwheel_async.sync import Batch, Checkpoint, MemoryStore, SqlSink, as_of, changes
from pinwheel_async.sync._sql.database import lock
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.testing import make_account

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ANSWERS: dict[str, Any] = {"A": make_account(1, connected=True), "B": make_account(1, connected=False)}
OTHER, THIRD = make_account(2), make_account(3)
FUTURE = 60 * 24 * 365 * 50

CASES: dict[str, tuple[str, str | None]] = {
    "an older answer": ("A0 B2 A1", "B"),
    "an older answer after the same one twice": ("A0 A2 B1", "A"),
    "an older answer after a list": ("A0 +2 B1", "A"),
    "an older answer after a list that names another": ("B0 +2 -3 A1", "B"),
    "an answer after a list": ("A0 +1 B2", "B"),
    "there and back": ("A0 B1 A2", "A"),
    "there and back, in another order": ("A0 A2 B3 A1", "B"),
    "an answer from the future": (f"B{FUTURE} A0", "A"),
    "a list from the future": (f"A0 +{FUTURE} B1", "B"),
    "a list after one from the future": (f"A0 +{FUTURE} +2 B1", "A"),
    "one list without it": ("A0 -1", "A"),
    "two lists without it": ("A0 -1 -2", None),
    "the same list twice": ("A0 -1 -1", "A"),
    "the older list comes later": ("A0 -2 -1", "A"),
    "a list between the two": ("A0 -1 +2 -3", "A"),
    "an answer between the two": ("A0 -1 A2 -3", "A"),
    "an answer of the moment of the first": ("A0 -1 A1 -2", "A"),
    "another answer between the two": ("A0 -1 B2 -3", "B"),
    "two lists without it after an answer between": ("A0 -1 A2 -3 -4", None),
    "asked for since the lists began": ("A0 A3 -1 -2", "A"),
    "asked for at the moment of a list": ("A1 -1 -2", "A"),
    "asked for in the future": (f"A{FUTURE} -1 -2", None),
    "an answer of before a list without it": ("A0 -2 B1", "B"),
    "which does not make it named": ("A0 -2 B1 -3", None),
    "an answer of before it was gone": ("A0 -2 -4 B3", None),
    "an answer after it was gone": ("A0 -1 -2 B3", "B"),
    "the same answer after it was gone": ("A0 -1 -2 A3", "A"),
    "an answer of before a later list": ("A0 -1 -2 +5 A4", None),
    "one list without it after it came back": ("A0 -1 -2 A3 -4", "A"),
    "two lists without it after it came back": ("A0 -1 -2 A3 -4 -5", None),
}
"""What arrives, and what is there then: A and B are answers, + a list that names it as it is stored, - one that does
not name it; the numbers are the minutes at which they were asked for."""


async def arrive(store: Any, steps: str, account_id: str = "account", began: datetime = BEGAN) -> None:
    """Store answers and lists, in the order of the text."""
    newest: Any = None
    for step in steps.split():
        at = began + timedelta(minutes=int(step[1:]))
        asked = Checkpoint(begun_at=at, reached="patch")
        if step[0] in ANSWERS:
            newest = attrs.evolve(ANSWERS[step[0]], id=account_id)
            await store.write(Batch(kind="accounts", account_id=None, items=(newest,), checkpoint=asked))
        else:
            named = [newest] if step[0] == "+" and account_id in await store.account_ids() else []
            await store.write(Batch(kind="accounts", account_id=None, items=(*named, OTHER, THIRD), checkpoint=asked))
            before = account_id in await store.account_ids()
            gone = await store.miss_accounts([account_id] if step[0] == "-" and before else [], at)
            assert gone == (before and account_id not in await store.account_ids())


async def test_what_is_there_in_the_end(database: str, engine: AsyncEngine):
    """Of an account the answer to the latest question is stored; it is gone if two lists in a row do not name it."""
    sink, table = SqlSink(database), STORED["accounts"].table
    await sink.open()
    for number, (case, (steps, _)) in enumerate(CASES.items()):
        await arrive(sink, steps, case, BEGAN + timedelta(hours=number))  # each among the rows of those before it
    await sink.close(complete=True)
    async with engine.connect() as connection:
        rows = {row.id: row for row in await connection.execute(select(table))}
    found = {case: None if rows[case].deleted_at else "A" if rows[case].connected else "B" for case in CASES}

    assert {case: expected for case, (_, expected) in CASES.items()} == found


@pytest.mark.parametrize("case", CASES)
async def test_the_shortest_form(case: str):
    """The store in memory says the same."""
    steps, expected = CASES[case]
    store = MemoryStore()
    await arrive(store, steps)
    found: list[Any] = [account for account in cast("Any", store.items("accounts")) if account.id == "account"]

    assert found == ([] if expected is None else [attrs.evolve(ANSWERS[expected], id="account")])


async def test_a_list_waits_for_pages(postgres: str):
    """What a list did not name is noted after the pages of accounts that are being written, not beside them."""
    pages, lists = SqlSink(postgres), SqlSink(postgres)
    ended: list[str] = []
    is_held = asyncio.Event()

    def hold(connection: Connection) -> None:
        lock(connection, {("accounts", "")})
        is_held.set()
        connection.exec_driver_sql("SELECT pg_sleep(0.3)")
        ended.append("page")

    async def end_list() -> None:
        await is_held.wait()
        await lists.miss_accounts([], BEGAN)
        ended.append("list")

    for sink in (pages, lists):
        await sink.open()
    await asyncio.gather(pages._run("planted", hold), end_list())
    for sink in (pages, lists):
        await sink.close(complete=True)

    assert ended == ["page", "list"]


async def test_history_of_what_comes_back(database: str):
    """What an account was at each moment is kept, there and back; an older answer that comes late changes nothing."""
    copies: list[tuple[datetime, Any]] = []
    texts = ("A0", "B1", "A3", "B2", "-4", "-5", "A6")
    for text in texts:
        sink = SqlSink(database, history=True)
        await sink.open()
        await arrive(sink, text)
        await sink.close(complete=True)
        moment = datetime.now(UTC)
        copies.append((moment, (await as_of(database, moment))["accounts"]))

    kinds = [change.change async for change in changes(database) if change.id == "account"]
    assert kinds == ["new", "changed", "changed", "removed", "changed"]
    seen: list[Any] = []
    for moment, rows in copies:
        assert rows == (await as_of(database, moment))["accounts"]
        (row,) = [row for row in rows if row["id"] == "account"]
        seen.append((row["connected"], row["deleted_at"] is not None, row["first_seen_at"], row["changed_at"]))
    assert [True, False, True, True, True, True, True] == [connected for connected, *_ in seen]
    assert [False] * 5 + [True, False] == [is_gone for _, is_gone, *_ in seen]
    assert len({first for *_, first, _ in seen}) == 1
    changed = [at for *_, at in seen]
    assert changed == sorted(changed)
    assert [changed[2]] * 3 == changed[2:5]
    assert len(set(changed)) == 5


async def test_a_quiet_list_writes_nothing(database: str, engine: AsyncEngine):
    """A list that names all accounts as they are stored costs one row, however many there are."""
    accounts = [attrs.evolve(OTHER, id=f"account {at}") for at in range(50)]
    table = "pinwheel_checkpoints"
    found: list[Any] = []
    for minute in (1, 2):
        sink = SqlSink(database)
        await sink.open()
        at = BEGAN + timedelta(minutes=minute)
        asked = Checkpoint(begun_at=at, reached="patch")
        await sink.write(Batch(kind="accounts", account_id=None, items=tuple(accounts), checkpoint=asked))
        await sink.miss_accounts([], at)
        await sink.close(complete=True)
        async with engine.connect() as connection:
            rows = await connection.exec_driver_sql(f"SELECT account_id, begun_at FROM {table}")  # noqa: S608
            found.append({tuple(row) for row in rows})

    assert len(found[1] - found[0]) == 1
