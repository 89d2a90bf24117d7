"""History of a copy: what was there at a moment, and what changed since."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import attrs
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from pinwheel_async import ConfigurationError, Pinwheel, RequestError, SupersededError
from pinwheel_async.models import Paystub, Tax
from pinwheel_async.sync import (
    METADATA,
    Batch,
    Change,
    Checkpoint,
    MemorySink,
    SqlSink,
    as_of,
    changes,
    purge,
    sync,
)
from pinwheel_async.testing import make_account, make_paystub

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def paystub(id: str = "paystub", **fields: Any) -> Paystub:
    tax = Tax(name="tax", category="other", amount=1)
    return make_paystub(0, **{"id": id, "account_id": "account", "taxes": (tax, tax), **fields})


def page(*items: Any, at: int = 0, **fields: Any) -> Batch[Any]:
    checkpoint = Checkpoint(begun_at=BEGAN + timedelta(minutes=at), reached="complete")
    return Batch(kind="paystubs", account_id="account", items=items, checkpoint=checkpoint, **fields)


async def write(url: str, *batches: Batch[Any], **options: Any) -> datetime:
    """Write pages, and return a moment after that."""
    sink = SqlSink(url, history=True, **options)
    await sink.open()
    try:
        for batch in batches:
            await sink.write(batch)
    finally:
        await sink.close(complete=True)
    return datetime.now(UTC)


async def frozen(url: str) -> dict[str, list[dict[str, Any]]]:
    """Return what the tables of data hold now."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    found: dict[str, list[dict[str, Any]]] = {}
    async with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            if not table.name.startswith("pinwheel_"):
                columns = [column for column in table.columns if column.name != "digest"]
                rows = await connection.execute(select(*columns).order_by(*table.primary_key))
                found[table.name] = [dict(row) for row in rows.mappings()]
    await engine.dispose()
    return found


async def seen(url: str, since: str | None = None) -> list[Change]:
    return [change async for change in changes(url, since=since)]


def told(found: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.id, change.change) for change in found]


STEPS: Sequence[Sequence[Batch[Any]]] = (
    (page(paystub("a"), paystub("b")), Batch(kind="accounts", account_id=None, items=(make_account(0, id="account"),))),
    (page(paystub("a", net_pay_amount=7), paystub("b"), at=1),),
    (page(paystub("a", net_pay_amount=8, taxes=()), paystub("c"), at=2),),
    (Batch(kind="accounts", account_id=None, items=(make_account(0, id="account", tags={"a": [0.1, {"b": 2}]}),)),),
    (Batch(kind="accounts", account_id=None, items=(make_account(0, id="account", end_user_id="other"),)),),
    (page(at=3),),
    (page(paystub("b", taxes=(Tax(name=None, category="other", amount=2**62),)), at=4),),
    (page(paystub("a", net_pay_amount=7), paystub("b"), at=5),),
    (page(paystub("a"), paystub("b"), at=6),),
    (page(paystub("a", net_pay_amount=7), paystub("b"), at=7),),
)
"""What is written one after another: new objects, changes of one, there and back, of its lines, removals, and one that
comes back."""


@pytest.mark.parametrize("keep_deleted", [False, True])
async def test_as_of_every_step(database: str, *, keep_deleted: bool):
    """What was there at a moment is what a copy that was frozen then holds, for every moment between two changes."""
    copies: list[tuple[datetime, Any]] = []
    for step in STEPS:
        moment = await write(database, *step, keep_deleted=keep_deleted)
        copies.append((moment, await frozen(database)))

    for moment, copy in copies:
        assert copy == await as_of(database, moment)


@pytest.mark.parametrize("seed", range(2))
async def test_as_of_random_histories(database: str, seed: int):
    """After any history, what was there at each of its moments is what a copy that was frozen then holds.

    Readings of several pages that end or are begun again, patches, several pages of one list in one transaction, what
    comes back, and accounts that are gone are in it.
    """
    choice = Random(seed)
    copies: list[tuple[datetime, Any]] = []
    sink = SqlSink(database, history=True, keep_deleted=choice.random() < 0.5, raw=choice.random() < 0.5)
    await sink.open()
    for at in range(20):
        writes = [sink.write(batch) for batch in _random_batches(choice, at)]
        await asyncio.gather(*writes, return_exceptions=True)  # what would remove too much is refused, and stays
        if choice.random() < 0.1:
            missed = choice.choice(_RANDOM_ACCOUNTS)
            for seconds in (20, 40):
                await sink.miss_accounts([missed], BEGAN + timedelta(minutes=at, seconds=seconds))
        copies.append((datetime.now(UTC), await frozen(database)))
    await sink.close(complete=True)

    for moment, copy in copies:
        assert copy == await as_of(database, moment)


_RANDOM_ACCOUNTS = ("one", "two", "three")


def _random_batches(choice: Random, at: int) -> Sequence[Batch[Any]]:
    """Return pages that may have come at once: of accounts, and of lists that are read, go on, or are patched."""
    batches: list[Batch[Any]] = []
    for account_id in choice.sample(_RANDOM_ACCOUNTS, choice.randint(1, 3)):
        account = make_account(0, id=account_id, end_user_id=choice.choice(["a", "b", None]))
        asked = Checkpoint(begun_at=BEGAN + timedelta(minutes=at), reached="patch")
        batches.append(Batch(kind="accounts", account_id=None, items=(account,), checkpoint=asked))
        for number in range(choice.randint(1, 3)):
            items = [
                paystub(
                    paystub_id,
                    account_id=account_id,
                    net_pay_amount=choice.choice([1, 2**62, None]),
                    total_reimbursements=choice.randint(0, 1),
                    taxes=(Tax(name=choice.choice(["Ł", None]), category="other", amount=1),) * choice.randint(0, 2),
                )
                for paystub_id in choice.sample("abcdef", choice.randint(0, 4))
            ]
            begun_at = BEGAN + timedelta(minutes=at - (number and choice.randint(0, 1)))
            checkpoint = Checkpoint(
                begun_at=begun_at,
                reached=choice.choice(["reading", "complete", "complete", "patch"]),
                max_removed=choice.choice([None, 0.2]),
                items=len(items),
            )
            is_first = choice.random() < 0.7
            batches.append(
                Batch(kind="paystubs", account_id=account_id, items=tuple(items), checkpoint=checkpoint, first=is_first)
            )
    return batches


async def test_as_of_all_kinds(pinwheel: Pinwheel, database: str):
    """So it is with objects of every kind, with all that they hold, of all accounts and of one."""
    memory = MemorySink()
    await sync(pinwheel, memory, accounts=None)
    moments: list[datetime] = [await write(database)]
    copies = [await frozen(database)]
    for version in range(3):
        batches: list[Batch[Any]] = []
        for batch in memory.batches:
            checkpoint = batch.checkpoint and attrs.evolve(
                batch.checkpoint, begun_at=batch.checkpoint.begun_at + timedelta(seconds=version)
            )
            items = tuple([_changed(item, version) for item in batch.items])
            batches.append(attrs.evolve(batch, items=items, checkpoint=checkpoint))
        moments.append(await write(database, *batches))
        copies.append(await frozen(database))

    one_account = next(batch.account_id for batch in memory.batches if batch.account_id)
    for moment, copy in zip(moments, copies, strict=True):
        assert copy == await as_of(database, moment)
        of_one = {
            name: [row for row in rows if row["id" if name == "accounts" else "account_id"] == one_account]
            for name, rows in copy.items()
        }
        assert of_one == await as_of(database, moment, account_id=one_account)


def _changed(item: Any, version: int) -> Any:
    """Change an object where it has room for it; an account's words are not its id."""
    names = ("full_name", "employer_name", "timezone", "job_title", "end_user_id", "currency", "source")
    field = next((name for name in names if hasattr(item, name)), None)
    return attrs.evolve(item, **{field: f"Ł {version}"}) if field and version else item


async def test_what_changed(database: str):
    """Changes come as new, changed and removed, in order; a page that comes again is none."""
    found: list[list[tuple[str, str]]] = []
    token: str | None = None
    for step in STEPS:
        for at in (0, 30):  # the same page twice
            later = [
                attrs.evolve(
                    batch,
                    checkpoint=batch.checkpoint
                    and attrs.evolve(batch.checkpoint, begun_at=batch.checkpoint.begun_at + timedelta(seconds=at)),
                )
                for batch in step
            ]
            await write(database, *later)
        news = await seen(database, token)
        token = news[-1].token
        found.append(sorted(told(news)))

    assert found == [
        [("a", "new"), ("account", "new"), ("b", "new")],
        [("a", "changed")],
        [("a", "changed"), ("b", "removed"), ("c", "new")],
        [("account", "changed")],
        [("account", "changed")],
        [("a", "removed"), ("c", "removed")],
        [("b", "new")],
        [("a", "new"), ("b", "changed")],
        [("a", "changed")],
        [("a", "changed")],
    ]
    assert [] == await seen(database, token)


async def test_what_was_kept_and_comes_back(database: str):
    """Where deleted objects are kept, they are removed once, and changed when they come back."""
    for at, items in enumerate(((paystub(),), (), (), (paystub(),))):
        await write(database, page(*items, at=at), keep_deleted=True)

    assert ["new", "removed", "changed"] == [change.change for change in await seen(database)]


async def test_changes_of_many(database: str, monkeypatch: pytest.MonkeyPatch):
    """Any number of changes comes, a portion at a time, each once."""
    monkeypatch.setattr("pinwheel_async.sync._history.read._CHANGES_AT_ONCE", 3)
    await write(database, page(*[paystub(str(number)) for number in range(10)]))

    assert sorted(map(str, range(10))) == sorted([change.id for change in await seen(database)])


async def test_several_writers(pinwheel: Pinwheel, postgres: str):
    """Who reads changes while several transactions write sees each once, whatever their order is."""
    running = asyncio.create_task(sync(pinwheel, SqlSink(postgres, history=True)))
    found: list[Change] = []
    is_last = False
    while not is_last:
        is_last = running.done()
        try:
            found += await seen(postgres, found[-1].token if found else None)
        except ConfigurationError:  # not made yet
            await asyncio.sleep(0.01)
    await running

    assert told(found) == told(await seen(postgres))
    assert len(found) == len({(change.kind, change.account_id, change.id) for change in found})


async def test_a_purge_takes_the_history(database: str):
    """Nothing of an account that was erased, or of what was purged as old, is left in the history."""
    await write(database, page(paystub("old", pay_date=date(2020, 1, 1)), paystub("young", pay_date=date(2025, 1, 1))))
    moment = await write(
        database,
        page(
            paystub("old", pay_date=date(2020, 1, 1), net_pay_amount=7),
            paystub("young", pay_date=date(2025, 1, 1), net_pay_amount=7),
            at=1,
        ),
    )
    old = await purge(database, before=date(2024, 1, 1))
    rows = (await as_of(database, moment))["paystubs"]
    left = told(await seen(database))
    erasure = await purge(database, account_id="account")

    assert old.removed["pinwheel_changes"] == 2
    assert [("young", "new"), ("young", "changed")] == left
    assert ["young"] == [row["id"] for row in rows]
    assert erasure.removed["pinwheel_changes"] == 2
    assert [] == await seen(database)


async def test_the_end_of_a_history(database: str):
    """A history that is ended and begun again begins anew: what lies between is not known."""
    moment = await write(database, page(paystub()))
    await write(database, page(paystub(net_pay_amount=7), at=1))
    sink = SqlSink(database, history=False, change_scope=True)
    await sink.open()
    await sink.close(complete=True)
    with pytest.raises(ConfigurationError, match="keeps no history"):
        await seen(database)
    await write(database, change_scope=True)

    assert [] == await seen(database)
    with pytest.raises(RequestError, match="not be before the history"):
        await as_of(database, moment)


async def test_a_copy_without_a_history(database: str):
    """A copy that keeps no history says so, and writes none; another wish is refused."""
    sink = SqlSink(database)
    await sink.open()
    await sink.write(page(paystub()))
    await sink.close(complete=True)

    with pytest.raises(ConfigurationError, match="keeps no history"):
        await as_of(database, datetime.now(UTC))
    with pytest.raises(ConfigurationError, match="history: False in the copy, True here"):
        await write(database)


@pytest.mark.parametrize("token", ["", "1", "x-1", "00000000-1", "é"])
async def test_a_token_of_something_else(database: str, token: str):
    """A token that is not one of this copy is refused."""
    await write(database, page(paystub()))

    with pytest.raises(RequestError, match="token of a change of this copy"):
        await seen(database, token)


async def test_a_moment_without_a_zone(database: str):
    """A moment has to be aware."""
    with pytest.raises(RequestError, match="aware"):
        await as_of(database, datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_change_shows_ids_only(database: str):
    """A change is ids and words; it can be written as JSON."""
    await write(database, page(paystub()))
    (change,) = await seen(database)

    assert {"kind", "account_id", "id", "change", "changed_at", "token"} == json.loads(change.to_json()).keys()


async def test_accounts_that_are_gone(database: str):
    """An account that two whole lists did not name is removed to the history, and still there as of before."""
    account = make_account(0, id="account")
    asked = Checkpoint(begun_at=BEGAN, reached="patch")
    before = await write(database, Batch(kind="accounts", account_id=None, items=(account,), checkpoint=asked))
    copy = await frozen(database)
    sink = SqlSink(database)
    await sink.open()
    lists = [BEGAN + timedelta(minutes=minute) for minute in (1, 2)]
    missed = [await sink.miss_accounts(["account"], at) for at in lists]
    await sink.close(complete=True)

    assert [0, 1] == missed
    assert [("account", "new"), ("account", "removed")] == told(await seen(database))
    assert copy == await as_of(database, before)
    (row,) = (await as_of(database, datetime.now(UTC)))["accounts"]
    assert row["deleted_at"] == lists[1]
    assert row["changed_at"] > row["first_seen_at"]


async def test_a_call_after_each_commit(database: str):
    """What is to be called after a commit is called when a page is there, and only then, and may fail."""
    calls: list[int] = []

    def called() -> None:
        calls.append(1)
        raise ValueError("planted")

    for at in range(2):
        await write(database, page(paystub(net_pay_amount=at), at=at), on_commit=called)
        assert len(calls) == at + 1
    await write(database, on_commit=called)
    with pytest.raises(SupersededError):
        await write(database, page(paystub(net_pay_amount=2), at=-1), on_commit=called)

    assert len(calls) == 2
    assert ["new", "changed"] == [change.change for change in await seen(database)]
