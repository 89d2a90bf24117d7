"""Moments of rows: when an object was first seen, and when it, or a line of it, last changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import Pinwheel
from pinwheel_async.models import Paystub, Tax
from pinwheel_async.models.document import Document
from pinwheel_async.sync import METADATA, Batch, Checkpoint, MemorySink, SqlSink, sync
from pinwheel_async.sync._sql.rows import digest_of
from pinwheel_async.testing import make_account, make_paystub

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def paystub(**fields: Any) -> Paystub:
    tax = Tax(name="tax", category="other", amount=1)
    return make_paystub(0, **{"id": "paystub", "account_id": "account", "taxes": (tax, tax), **fields})


def page(item: Any, *, at: int = 0) -> Batch[Any]:
    kind: Any = "paystubs" if isinstance(item, Paystub) else "accounts"
    checkpoint = Checkpoint(begun_at=BEGAN + timedelta(minutes=at), reached="complete") if kind == "paystubs" else None
    items = (item, paystub(id="other")) if kind == "paystubs" else (item,)
    return Batch(kind=kind, account_id="account" if checkpoint else None, items=items, checkpoint=checkpoint)


async def write(url: str, batch: Batch[Any], **options: Any) -> None:
    sink = SqlSink(url, **options)
    await sink.open()
    await sink.write(batch)
    await sink.close(complete=True)


async def moments(url: str, table: str = "paystubs") -> dict[str, tuple[datetime, datetime]]:
    """Return by object when it was first seen, and when it changed."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    of = METADATA.tables[table].c
    async with engine.connect() as connection:
        found = {
            row.id: (row[1], row[2]) for row in await connection.execute(select(of.id, of.first_seen_at, of.changed_at))
        }
    await engine.dispose()
    return found


@pytest.mark.parametrize(
    ("change", "is_change"),
    [
        ({}, False),
        ({"document": Document(id="file", download_url="https://b", download_url_expiration=BEGAN)}, False),
        ({"net_pay_amount": 12}, True),
        ({"taxes": ()}, True),
        ({"taxes": (Tax(name="tax", category="other", amount=1), Tax(name="tax", category="other", amount=2))}, True),
        ({"document": Document(id="another", download_url="https://a", download_url_expiration=BEGAN)}, True),
    ],
)
async def test_when_a_paystub_changed(database: str, change: dict[str, Any], is_change: bool):
    """Only what differs in itself or in its lines gets a later moment; the first stays, and a new link is nothing."""
    file = Document(id="file", download_url="https://a", download_url_expiration=BEGAN)
    began = datetime.now(UTC)
    await write(database, page(paystub(document=file)))
    before = await moments(database)

    await write(database, page(paystub(**{"document": file, **change}), at=1))
    after = await moments(database)

    assert all(began <= first == last <= datetime.now(UTC) for first, last in before.values())
    assert before["other"] == after["other"]
    assert before["paystub"][0] == after["paystub"][0]
    assert is_change == (before["paystub"][1] < after["paystub"][1])


async def test_when_an_account_changed(database: str):
    """An account that is listed again as it was keeps its moment."""
    account = make_account(0, id="account")
    await write(database, page(account))
    before = await moments(database, "accounts")
    await write(database, page(account))
    same = await moments(database, "accounts")
    await write(database, page(attrs.evolve(account, end_user_id="new")))
    after = await moments(database, "accounts")

    assert before == same
    assert before["account"][1] < after["account"][1]


async def test_when_an_object_was_deleted(database: str):
    """What is kept though it was deleted changed when that was found, and when it came back."""
    found: list[datetime] = []
    for at, batch in enumerate(
        (page(paystub()), Batch(kind="paystubs", account_id="account", items=()), page(paystub()))
    ):
        checkpoint = Checkpoint(begun_at=BEGAN + timedelta(minutes=at), reached="complete")
        await write(database, attrs.evolve(batch, checkpoint=checkpoint), keep_deleted=True)
        found.append((await moments(database))["paystub"][1])

    assert found[0] < found[1] < found[2]


async def test_models_and_structs(pinwheel: Pinwheel):
    """A model and its struct have the same digest, or what is fetched in another way would be a change."""

    class Structs(MemorySink):
        decode_to = "structs"
        batch_size = 0

    kinds: dict[str, set[str]] = {}
    for sink in (MemorySink(), Structs()):
        await sync(pinwheel, sink)
        for batch in sink.batches:
            kinds.setdefault(f"{type(sink).__name__} {batch.kind}", set()).update(map(digest_of, batch.items))

    for name, digests in kinds.items():
        assert digests == kinds[name.replace("Structs", "MemorySink")]
