"""The list of accounts is a list like others: what is older takes no place, and what is gone is marked."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import select

from pinwheel_async import Pinwheel
from pinwheel_async.sync import Batch, Checkpoint, MemoryStore, SqlSink, Store, status, sync
from pinwheel_async.sync._sql.tables import STORED
from pinwheel_async.testing import FakePinwheel, Fault, make_account

Stores = Callable[[], Store]
ASKED = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCTS: Any = ["income"]


async def accounts(store: Store) -> dict[str, Any]:
    """Return the accounts that are stored and not marked as deleted."""
    if isinstance(store, MemoryStore):
        return {account.id: account for account in store.items("accounts")}  # type: ignore[attr-defined]
    assert isinstance(store, SqlSink)
    table = STORED["accounts"].table
    await store.open()
    rows = await store._read(lambda connection: [*connection.execute(select(table))])
    await store.close(complete=True)
    return {row.id: row for row in rows if row.deleted_at is None}


def answer(account: Any, minute: int) -> Batch[Any]:
    checkpoint = Checkpoint(begun_at=ASKED + timedelta(minutes=minute), reached="patch")
    return Batch(kind="accounts", account_id=None, items=(account,), checkpoint=checkpoint)


def listing(fake: FakePinwheel, *left_out: int, count: int | None = None) -> Fault:
    """Make a list of accounts that leaves some of them out."""
    found = [json.loads(entry.body) for at, entry in enumerate(fake.world.accounts(None)) if at not in left_out]
    return Fault(json={"data": found, "meta": {"count": len(found) if count is None else count, "next_cursor": None}})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_older_answer(store: Stores, order: tuple[int, int]):
    """Of two answers about an account that of the later question is stored, in whichever order they are written."""
    account = make_account(1, connected=True)
    answers = [answer(account, 0), answer(attrs.evolve(account, connected=False), 1)]
    opened = store()
    await opened.open()
    for at in order:
        await opened.write(answers[at])
    await opened.close(complete=True)

    assert not (await accounts(opened))[account.id].connected


async def test_an_answer_from_the_future(store: Stores):
    """An answer that was noted under a clock that was far ahead keeps no other one out."""
    account, minutes = make_account(1, connected=True), 60 * 24 * 365 * 50
    opened = store()
    await opened.open()
    await opened.write(answer(account, minutes))
    await opened.write(answer(attrs.evolve(account, connected=False), 0))
    await opened.close(complete=True)

    assert not (await accounts(opened))[account.id].connected


async def test_an_account_that_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that two whole lists do not name is marked as deleted, and the report says so."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(3)]

    assert [0, 0, 1] == [report.gone for report in reports]
    assert fake.world.account_id(3) not in await accounts(store())


async def test_an_account_that_comes_back(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that is listed again is not deleted any more."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")
    for _ in range(4):
        await sync(pinwheel, store(), products=PRODUCTS)

    assert len(await accounts(store())) == 12


async def test_an_account_that_one_list_leaves_out(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that single lists leave out is not gone."""
    lists = [listing(fake), listing(fake, 3), listing(fake), listing(fake, 3), listing(fake)]
    fake.script(*lists, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in lists]

    assert [0] * 5 == [report.gone for report in reports]


async def test_lists_that_are_not_whole(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """A list that contradicts itself names nobody as gone, however often it comes."""
    fake.script(listing(fake), *[listing(fake, 3, count=12)] * 3, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(4)]

    assert [0] * 4 == [report.gone for report in reports]


async def test_an_account_that_cannot_be_read_is_not_gone(fake: FakePinwheel, pinwheel: Pinwheel, store: Stores):
    """An account that is listed and cannot be read is not gone."""
    odd = listing(fake)
    odd.json["data"][3]["connected"] = "perhaps"
    fake.script(listing(fake), *[odd] * 3, operation="list_accounts")

    reports = [await sync(pinwheel, store(), products=PRODUCTS) for _ in range(4)]

    assert [0] * 4 == [report.gone for report in reports]


async def test_status_of_what_is_gone(fake: FakePinwheel, pinwheel: Pinwheel, url: str):
    """The status counts accounts that are gone apart, and misses nothing of them."""
    fake.script(listing(fake), listing(fake, 3), listing(fake, 3), operation="list_accounts")
    for products in (PRODUCTS, PRODUCTS, ["income", "employment"]):
        await sync(pinwheel, SqlSink(url, change_scope=True), products=products)

    found = await status(url)

    assert (found.accounts, found.gone, found.products["employment"].never) == (11, 1, 0)
