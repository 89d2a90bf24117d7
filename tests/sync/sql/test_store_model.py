"""Whatever is written in whatever order, a database holds what the store in memory holds."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async.errors import SupersededError, UnconfirmedRemovalError
from pinwheel_async.models import Income, Paystub, Tax, TaxFormSummary
from pinwheel_async.sync import METADATA, Batch, Checkpoint, MemoryStore, SqlSink
from pinwheel_async.sync._sql.tables import STORED

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("paystubs", "tax_forms", "income")
ACCOUNTS = ("a", "b")

days = st.integers(1, 4).map(lambda day: date(2026, 1, day))


def make(kind: Any, account_id: str, id: str, day: date | None, amount: int) -> Any:
    """Make an object, obviously made up; its lines say what its amount says."""
    model = {"paystubs": Paystub, "tax_forms": TaxFormSummary, "income": Income}[kind]
    values: dict[str, Any] = {field.name: None for field in attrs.fields(model)} | {"id": id, "account_id": account_id}
    if kind == "paystubs":
        taxes = tuple([Tax(name=str(amount), category="other", amount=amount)] * amount)
        values |= {"pay_date": day, "taxes": taxes, "deductions": (), "earnings": (), "time_off": ()}
    return model(**values)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """One page of anything, with any checkpoint."""
    kind, account = draw(st.sampled_from(KINDS)), draw(st.sampled_from(ACCOUNTS))
    ids = draw(st.lists(st.sampled_from("pqrstu"), max_size=4))
    checkpoint = Checkpoint(
        begun_at=BEGAN + timedelta(microseconds=draw(st.integers(0, 3))),
        reached=draw(st.sampled_from(("reading", "reading", "complete", "complete", "missing", "patch"))),
        data_updated_at=draw(st.none() | st.just(BEGAN)),
        from_day=draw(st.none() | days),
        cursor=draw(st.none() | st.just("c")),
        items=draw(st.integers(0, 9)),
        max_removed=draw(st.none() | st.sampled_from((0.0, 0.5))),
    )
    return Batch(
        kind=kind,
        account_id=account,
        items=tuple([make(kind, account, item_id, draw(st.none() | days), draw(st.integers(0, 3))) for item_id in ids]),
        first=draw(st.booleans()),
        checkpoint=draw(st.sampled_from((checkpoint, checkpoint, checkpoint, None))),
    )


groups = st.lists(st.lists(batches(), min_size=1, max_size=4), max_size=8)
"""Each group is written at once, and the store opened again for the next group."""


def of(account: str, batch: Batch) -> Batch:
    """Return the page as that of another account."""
    items = [attrs.evolve(item, account_id=account) for item in batch.items]
    return attrs.evolve(batch, account_id=account, items=tuple(items))


async def written(store: Any, group: Sequence[Batch]) -> list[Any]:
    """Write pages at once; return what became of each."""
    await store.open()
    outcomes = await asyncio.gather(*map(store.write, group), return_exceptions=True)
    await store.close(complete=True)
    return [outcome and type(outcome) for outcome in outcomes]


async def books(store: Any, accounts: Sequence[str]) -> Any:
    """Return what a store says about itself."""
    await store.open()
    held = {(account, kind): await store.held(account, kind) for account in accounts for kind in KINDS}
    found = held, dict(await store.checkpoints(accounts))
    await store.close(complete=True)
    return found


def rows(connection: Connection) -> dict[str, set[Any]]:
    """Return the rows of the objects, and how many lines there are of each paystub."""
    tables = {kind: STORED[kind].table for kind in KINDS}
    found = {
        kind: {(row.account_id, row.id, getattr(row, "pay_date", None)) for row in connection.execute(select(table))}
        for kind, table in tables.items()
    }
    taxes = connection.execute(select(METADATA.tables["paystub_taxes"]))
    return found | {"taxes": {(row.account_id, row.paystub_id, row.position, row.amount) for row in taxes}}


def expected(memory: MemoryStore) -> dict[str, set[Any]]:
    found = {
        kind: {(item.account_id, item.id, getattr(item, "pay_date", None)) for item in memory.items(kind)}
        for kind in KINDS
    }
    taxes = [(paystub, tax, at) for paystub in memory.items("paystubs") for at, tax in enumerate(paystub.taxes)]
    return found | {"taxes": {(paystub.account_id, paystub.id, at, tax.amount) for paystub, tax, at in taxes}}


async def check(url: str, groups: Sequence[Sequence[Batch]], accounts: Sequence[str]) -> None:
    """Write the same into both stores and compare them."""
    memory = MemoryStore()
    names = dict(zip(ACCOUNTS, accounts, strict=True))
    for group in groups:
        pages = [of(names[batch.account_id or ""], batch) for batch in group]
        outcomes = await written(memory, pages)
        assert set(outcomes) <= {None, SupersededError, UnconfirmedRemovalError}
        assert outcomes == await written(SqlSink(url), pages)
        assert await books(memory, accounts) == await books(SqlSink(url), accounts)
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = await connection.run_sync(rows) if groups else expected(memory)
    await engine.dispose()
    assert expected(memory) == {name: {row for row in some if row[0] in accounts} for name, some in found.items()}


@settings(max_examples=40, deadline=None)
@given(groups)
def test_sqlite_holds_what_memory_holds(groups: list[list[Batch]]):
    """A database of SQLite that is closed and opened all the time follows the rules of a store."""
    with TemporaryDirectory() as folder:
        asyncio.run(check(f"sqlite+aiosqlite:///{Path(folder) / 'payroll.db'}", groups, ACCOUNTS))


def test_postgresql_holds_what_memory_holds(postgres: str):
    """A database of PostgreSQL follows the rules of a store."""
    numbers = count()

    @settings(max_examples=10, deadline=None)
    @given(groups)
    def run(groups: list[list[Batch]]) -> None:
        number = next(numbers)
        asyncio.run(check(postgres, groups, [f"{account}{number}" for account in ACCOUNTS]))

    run()
