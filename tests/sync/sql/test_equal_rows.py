"""Rows that are equal to what is stored are not written again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async.models import Paystub, Tax
from pinwheel_async.sync import METADATA, Batch, Checkpoint, SqlSink
from pinwheel_async.testing import make_account, make_paystub

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LINES = ("paystub_taxes", "paystub_deductions", "paystub_earnings", "paystub_time_off")


def paystub(number: int, **fields: Any) -> Paystub:
    return make_paystub(number, id=f"paystub {number:02}", account_id="account", **fields)


def page(*items: Any, kind: Any = "paystubs", at: int = 0) -> Batch[Any]:
    begun_at = BEGAN + timedelta(minutes=at)
    checkpoint = Checkpoint(begun_at=begun_at, reached="complete", items=len(items)) if kind == "paystubs" else None
    return Batch(kind=kind, account_id="account" if checkpoint else None, items=items, checkpoint=checkpoint)


async def write(url: str, *batches: Batch[Any], **options: Any) -> None:
    sink = SqlSink(url, **options)
    await sink.open()
    for batch in batches:
        await sink.write(batch)
    await sink.close(complete=True)


async def written(url: str, *batches: Batch[Any], **options: Any) -> dict[str, int]:
    """Write pages, and return how many rows of data were inserted, updated or deleted, by table."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    names = [name for name in METADATA.tables if not name.startswith("pinwheel_")]
    is_sqlite = engine.dialect.name == "sqlite"
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE noted (name text)"))
        if not is_sqlite:
            await connection.execute(
                text(
                    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
                    " $$ BEGIN INSERT INTO noted VALUES (TG_TABLE_NAME); RETURN NULL; END $$"
                )
            )
        for name in names:
            for change in ("INSERT", "UPDATE", "DELETE"):
                action = f"BEGIN INSERT INTO noted VALUES ('{name}'); END"  # noqa: S608  # our own names
                what = action if is_sqlite else "EXECUTE FUNCTION note()"
                each = "FOR EACH ROW"
                await connection.execute(text(f"CREATE TRIGGER {change}_{name} AFTER {change} ON {name} {each} {what}"))
    await write(url, *batches, **options)
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT name, count(*) FROM noted GROUP BY name"))
        counts = {row[0]: row[1] for row in found}
    await engine.dispose()
    return counts


PAYSTUBS = [paystub(number) for number in range(20)]


async def test_one_that_is_new(database: str):
    """A new paystub of a list of twenty costs its own row and lines, and no others."""
    await write(database, page(*PAYSTUBS))
    new = paystub(20)

    counts = await written(database, page(new, *PAYSTUBS, at=1))

    lines = (new.taxes, new.deductions, new.earnings, new.time_off)
    expected = {"paystubs": 1, **{name: len(some) for name, some in zip(LINES, lines, strict=True) if some}}
    assert counts == expected


@pytest.mark.parametrize("options", [{}, {"raw": True}, {"keep_deleted": True}])
async def test_a_page_that_comes_again(database: str, options: Any):
    """A page that comes again writes no row of data."""
    await write(database, page(*PAYSTUBS), **options)

    assert await written(database, page(*PAYSTUBS, at=1), **options) == {}


async def test_accounts_that_come_again(database: str):
    """Accounts that are listed again are not written again."""
    accounts = [make_account(number) for number in range(10)]
    await write(database, page(*accounts, kind="accounts"))
    moved = attrs.evolve(accounts[3], connected=not accounts[3].connected)

    counts = await written(database, page(*accounts[:3], moved, *accounts[4:], kind="accounts"))

    assert counts == {"accounts": 1}


async def test_a_value_that_becomes_null(database: str):
    """A value that becomes null is written, and so is one that is null no more."""
    await write(database, page(paystub(0, employer_name=None), paystub(1, employer_name="Acme")))

    pages = page(paystub(0, employer_name="Acme"), paystub(1, employer_name=None), at=1)

    assert await written(database, pages) == {"paystubs": 2}


def taxes(*amounts: int) -> tuple[Tax, ...]:
    return tuple([Tax(name=str(amount), category="other", amount=amount) for amount in amounts])


@pytest.mark.parametrize(
    ("after", "changes"), [((1, 2, 3), 0), ((1, 9, 3), 1), ((1, 2), 1), ((), 3), ((1, 2, 3, 4), 1), ((2, 3), 3)]
)
async def test_lines_that_change(database: str, after: tuple[int, ...], changes: int):
    """Of the lines of an object those are written that differ, and what is too much is deleted."""
    await write(database, page(paystub(0, taxes=taxes(1, 2, 3)), paystub(1, taxes=taxes(1, 2, 3, 4, 5))))

    again = page(paystub(0, taxes=taxes(*after)), paystub(1, taxes=taxes(1, 2, 3, 4, 5)), at=1)
    counts = await written(database, again)

    assert counts == ({"paystubs": 1, "paystub_taxes": changes} if changes else {})
    engine = create_async_engine(database.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT amount FROM paystub_taxes WHERE paystub_id = 'paystub 00' ORDER BY position")
        )
        assert [row[0] for row in found] == [*after]
    await engine.dispose()
