"""Operations of a fleet that meet in the database: each pair in both orders, one of them between begin and commit."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pinwheel_async import ConfigurationError
from pinwheel_async._clock import Clock
from pinwheel_async.sync import SqlSink
from pinwheel_async.sync._fleet import member, queries
from pinwheel_async.sync._fleet.queries import Claimed, Part
from pinwheel_async.sync._sql.queries import purge as purge_account, remains
from pinwheel_async.sync._sql.tables import options_for, tables_named

PLAN: dict[str, Any] = {"products": ["income"], "changed_only": True}
LEASE_S = 60.0
RUN = 1


@pytest.fixture
async def engine(postgres: str) -> AsyncIterator[AsyncEngine]:
    """Connections to a copy in which a run has begun; a connection that waits for a lock says so after two seconds."""
    sink = SqlSink(postgres)
    await sink.open()
    await sink.close(complete=True)
    opened = create_async_engine(
        postgres.replace("postgresql:", "postgresql+asyncpg:"),
        connect_args={"server_settings": {"lock_timeout": "20s"}},
    ).execution_options(**options_for(tables_named()))
    await do(opened, queries.begin, PLAN)
    yield opened
    await opened.dispose()


async def do(engine: AsyncEngine, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Do something in a transaction of its own."""
    async with engine.begin() as connection:
        return await connection.run_sync(work, *arguments, **options)


async def blocked(engine: AsyncEngine) -> int:
    """Count the connections that wait for a lock."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        return int(found.scalar_one())


async def meanwhile(engine: AsyncEngine, first: Callable[[AsyncConnection], Any], second: Any) -> Any:
    """Do the first thing; before it is committed begin the second, and commit when that waits or is through."""
    async with engine.connect() as connection:
        result = await first(connection)
        task = asyncio.create_task(second)
        async with asyncio.timeout(10):
            while not task.done() and not await blocked(engine):
                await asyncio.sleep(0.005)
        await connection.commit()
        return result, await task


def doing(work: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[AsyncConnection], Any]:
    return lambda connection: connection.run_sync(work, *arguments, **options)


def part(*accounts: str, cursor: str | None = "next", **values: Any) -> Part:
    units = {account: {"income": None} for account in accounts}
    counts = Counter({"accounts": len(accounts)})
    given = {"units": units, "failures": {}, "counts": counts, "pages": 1, "is_whole": True}
    return Part(**{**given, "cursor": cursor, **values})


async def partition(engine: AsyncEngine, *accounts: str) -> int:
    """List a partition and let the list go; return the token that the list had."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    assert await do(engine, queries.add_partition, RUN, token, 1, part(*accounts))
    return token


async def lapse(engine: AsyncEngine) -> None:
    """Let every lease end."""
    async with engine.begin() as connection:
        for table in ("pinwheel_runs", "pinwheel_partitions"):
            await connection.execute(text(f"UPDATE {table} SET lease_until = now() - interval '1 s'"))  # noqa: S608


async def claim(engine: AsyncEngine) -> Claimed | None:
    return await do(engine, queries.claim_partition, RUN, LEASE_S)


def finish(claimed: Claimed, items: int = 1) -> dict[str, Any]:
    return {"counts": {"income.items": items}, "documents": {}, "failed": []}


async def look(engine: AsyncEngine) -> queries.RunRow:
    found = await do(engine, queries.look, RUN)
    assert found is not None
    return found


async def test_two_begin(engine: AsyncEngine):
    """Of two that begin a run with the same plan one begins it, and the other joins."""
    await do(engine, queries.stop, RUN)
    await do(engine, queries.end, RUN)

    first, second = await meanwhile(engine, doing(queries.begin, PLAN), do(engine, queries.begin, PLAN))

    assert first.number == second.number == RUN + 1


async def test_another_plan(engine: AsyncEngine):
    """A run with another plan is refused while one is not over."""
    await do(engine, queries.stop, RUN)
    await do(engine, queries.end, RUN)
    other = {**PLAN, "products": ["shifts"]}

    with pytest.raises(ConfigurationError, match="another plan"):
        await meanwhile(engine, doing(queries.begin, PLAN), do(engine, queries.begin, other))


async def test_two_claim_the_list(engine: AsyncEngine):
    """Of two that claim the list one gets it, and the other does not wait."""
    first, second = await meanwhile(
        engine, doing(queries.claim_list, RUN, LEASE_S), do(engine, queries.claim_list, RUN, LEASE_S)
    )

    assert first is not None
    assert second is None


async def test_two_claim_a_partition(engine: AsyncEngine):
    """Of two that claim the only partition one gets it, and the other does not wait."""
    await partition(engine, "a")

    first, second = await meanwhile(engine, doing(queries.claim_partition, RUN, LEASE_S), claim(engine))

    assert first is not None
    assert second is None


async def test_what_is_given_back(engine: AsyncEngine):
    """A list or a partition that is given back can be claimed at once, by whoever held it no longer counts."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    assert await do(engine, queries.add_partition, RUN, token, 1, part("a"))
    mine = await claim(engine)
    assert mine is not None

    await do(engine, queries.release_list, RUN, token)
    await do(engine, queries.release, RUN, mine)

    assert await do(engine, queries.renew_list, RUN, token, LEASE_S) is None
    assert await do(engine, queries.renew, RUN, mine, LEASE_S, {}, 0) is None
    assert await do(engine, queries.claim_list, RUN, LEASE_S) is not None
    assert await claim(engine) is not None


async def test_what_others_gave_back(engine: AsyncEngine):
    """Who was replaced gives nothing back that is another one's by now."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    await do(engine, queries.add_partition, RUN, token, 1, part("a"))
    mine = await claim(engine)
    await lapse(engine)
    await do(engine, queries.claim_list, RUN, LEASE_S)
    await claim(engine)

    await do(engine, queries.release_list, RUN, token)
    await do(engine, queries.release, RUN, mine)

    assert await do(engine, queries.claim_list, RUN, LEASE_S) is None
    assert await claim(engine) is None


async def test_nothing_is_begun_of_a_run_that_stops(engine: AsyncEngine):
    """Of a run that was told to stop neither the list nor a partition is claimed, while others end their work."""
    token = await partition(engine, "a")
    await do(engine, queries.add_partition, RUN, token, 2, part("b"))
    await claim(engine)
    await do(engine, queries.stop, RUN)
    await do(engine, queries.release_list, RUN, token)

    assert not await do(engine, queries.end, RUN)
    assert await claim(engine) is None
    assert await do(engine, queries.claim_list, RUN, LEASE_S) is None


async def test_a_list_of_a_run_that_is_over(engine: AsyncEngine):
    """Who lists the accounts of a run that is over is told so when it renews its lease."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    await do(engine, queries.stop, RUN)
    assert await do(engine, queries.renew_list, RUN, token, LEASE_S) == "stopping"
    await lapse(engine)
    assert await do(engine, queries.end, RUN)

    assert await do(engine, queries.renew_list, RUN, token, LEASE_S) is None


async def test_runs_of_before(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch):
    """Some runs are remembered, and the partitions of the last one before the one that is begun."""
    monkeypatch.setattr(queries, "_KEPT_RUNS", 3)
    document = {"account_id": "a", "product": "income", "error": "ServerError", "message": "m"}
    async with engine.begin() as connection:
        for number in range(1, 5):
            _, token = await connection.run_sync(queries.claim_list, number, LEASE_S)  # type: ignore[misc]
            failed = part("a", failures={"a": [document]})
            assert await connection.run_sync(queries.add_partition, number, token, 1, failed)
            await connection.run_sync(queries.stop, number)
            await connection.run_sync(queries.release_list, number, token)
            assert await connection.run_sync(queries.end, number)
            await connection.run_sync(queries.begin, PLAN)
        runs = [await connection.run_sync(queries.look, number) for number in range(1, 6)]
        failures = [len(await connection.run_sync(queries.failures, number)) for number in range(1, 6)]

    assert [run is not None for run in runs] == [False, False, True, True, True]
    assert failures == [0, 0, 0, 1, 0]


async def test_two_claim_two_partitions(engine: AsyncEngine):
    """Of two partitions each of two that claim at the same time gets one."""
    token = await partition(engine, "a")
    await do(engine, queries.add_partition, RUN, token, 2, part("b"))

    first, second = await meanwhile(engine, doing(queries.claim_partition, RUN, LEASE_S), claim(engine))

    assert [first.number, second.number] == [1, 2]


async def test_claim_while_renewed(engine: AsyncEngine):
    """A lease that has ended and is just being renewed is not taken over."""
    await partition(engine, "a")
    mine = await claim(engine)
    await lapse(engine)

    renewed, taken = await meanwhile(engine, doing(queries.renew, RUN, mine, LEASE_S, {}, 0), claim(engine))

    assert renewed == "listing"
    assert taken is None


async def test_renew_while_claimed(engine: AsyncEngine):
    """A lease that has ended and is just being taken over is not renewed."""
    await partition(engine, "a")
    mine = await claim(engine)
    await lapse(engine)

    taken, renewed = await meanwhile(
        engine, doing(queries.claim_partition, RUN, LEASE_S), do(engine, queries.renew, RUN, mine, LEASE_S, {}, 0)
    )

    assert taken is not None
    assert renewed is None


async def test_end_while_claimed(engine: AsyncEngine):
    """A partition that is just being taken over is not ended by whoever had it, and counts once."""
    await partition(engine, "a")
    mine = await claim(engine)
    await lapse(engine)

    taken, ended = await meanwhile(
        engine,
        doing(queries.claim_partition, RUN, LEASE_S),
        do(engine, queries.finish, RUN, mine, **finish(mine, items=100)),
    )

    assert ended is False
    assert await do(engine, queries.finish, RUN, taken, **finish(taken, items=7))
    assert (await look(engine)).counts["income.items"] == 7


async def test_claim_while_ended(engine: AsyncEngine):
    """A partition that is just being ended, late, is not taken over, and counts once."""
    await partition(engine, "a")
    mine = await claim(engine)
    await lapse(engine)

    ended, taken = await meanwhile(engine, doing(queries.finish, RUN, mine, **finish(mine)), claim(engine))

    assert ended is True
    assert taken is None
    assert (await look(engine)).counts["income.items"] == 1


async def test_ended_twice(engine: AsyncEngine):
    """An end that is tried again, because its answer was lost, counts once."""
    await partition(engine, "a")
    mine = await claim(engine)

    first, second = await meanwhile(
        engine, doing(queries.finish, RUN, mine, **finish(mine)), do(engine, queries.finish, RUN, mine, **finish(mine))
    )

    assert [first, second] == [True, False]
    assert (await look(engine)).counts["income.items"] == 1


async def test_two_end_at_once(engine: AsyncEngine):
    """Of two partitions that end at the same time both count."""
    token = await partition(engine, "a")
    await do(engine, queries.add_partition, RUN, token, 2, part("b"))
    mine, other = await claim(engine), await claim(engine)

    await meanwhile(
        engine,
        doing(queries.finish, RUN, mine, **finish(mine, 3)),
        do(engine, queries.finish, RUN, other, **finish(other, 4)),
    )

    assert (await look(engine)).counts["income.items"] == 7


async def test_end_while_listed(engine: AsyncEngine):
    """A partition that ends while another one is added: both count."""
    token = await partition(engine, "a")
    mine = await claim(engine)

    await meanwhile(
        engine,
        doing(queries.add_partition, RUN, token, 2, part("b", "c")),
        do(engine, queries.finish, RUN, mine, **finish(mine, 3)),
    )

    run = await look(engine)
    assert (run.counts["income.items"], run.counts["accounts"], run.counts["units"]) == (3, 3, 3)


async def test_list_while_claimed(engine: AsyncEngine):
    """A lister that is just being replaced adds nothing."""
    token = await partition(engine, "a")
    await lapse(engine)

    (_, newer), added = await meanwhile(
        engine,
        doing(queries.claim_list, RUN, LEASE_S),
        do(engine, queries.add_partition, RUN, token, 2, part("b")),
    )

    assert added is False
    assert (await look(engine)).partitions == 1
    assert await do(engine, queries.add_partition, RUN, newer, 2, part("c"))


async def test_claim_while_listed(engine: AsyncEngine):
    """A list that has lapsed and is just being added to is not taken over at a place that is old by then."""
    token = await partition(engine, "a")
    await lapse(engine)

    added, taken = await meanwhile(
        engine,
        doing(queries.add_partition, RUN, token, 2, part("b", cursor="later")),
        do(engine, queries.claim_list, RUN, LEASE_S),
    )

    assert added is True
    assert taken is None or taken[0].cursor == "later"


async def test_added_twice(engine: AsyncEngine):
    """A partition that is added again, because the answer was lost, is there once."""
    token = await partition(engine, "a")

    first, second = await meanwhile(
        engine,
        doing(queries.add_partition, RUN, token, 2, part("b")),
        do(engine, queries.add_partition, RUN, token, 2, part("b")),
    )

    assert [first, second] == [True, True]
    assert (await look(engine)).counts["accounts"] == 2


async def test_list_ended_twice(engine: AsyncEngine):
    """A list is ended once, so that nobody is marked as gone by the same list twice."""
    token = await partition(engine, "a")

    first, second = await meanwhile(
        engine, doing(queries.end_list, RUN, token), do(engine, queries.end_list, RUN, token)
    )

    assert [first, second] == [True, False]


async def test_claim_while_stopped(engine: AsyncEngine):
    """A run that is just being told to stop ends when the lease that was taken meanwhile is over, and not before."""
    await partition(engine, "a")
    await lapse(engine)

    stopped, taken = await meanwhile(engine, doing(queries.stop, RUN), claim(engine))

    assert stopped is True
    assert await do(engine, queries.end, RUN) is (taken is None)
    await lapse(engine)
    assert await do(engine, queries.end, RUN)
    assert await claim(engine) is None


async def test_end_of_a_partition_while_stopped(engine: AsyncEngine):
    """What is read of a partition when the run is told to stop counts."""
    await partition(engine, "a")
    await lapse(engine)
    mine = await claim(engine)

    _, ended = await meanwhile(
        engine, doing(queries.stop, RUN), do(engine, queries.finish, RUN, mine, **finish(mine, 5))
    )

    assert ended is True
    assert await do(engine, queries.end, RUN)
    run = await look(engine)
    assert (run.state, run.counts["income.items"]) == ("stopped", 5)


async def test_two_end_the_run(engine: AsyncEngine):
    """A run that two find to be done ends once, and later ends of a partition change nothing."""
    token = await partition(engine, "a")
    mine = await claim(engine)
    await do(engine, queries.end_list, RUN, token)
    assert not await do(engine, queries.end, RUN)
    await do(engine, queries.finish, RUN, mine, **finish(mine))

    first, second = await meanwhile(engine, doing(queries.end, RUN), do(engine, queries.end, RUN))

    assert first is second is True
    run = await look(engine)
    assert run.state == "done"
    assert not await do(engine, queries.finish, RUN, mine, **finish(mine))


async def test_late_end_after_the_run(engine: AsyncEngine):
    """Who ends a partition of a run that is just being ended without it waits, and changes nothing."""
    await partition(engine, "a")
    mine = await claim(engine)
    await lapse(engine)
    await do(engine, queries.stop, RUN)

    over, ended = await meanwhile(
        engine, doing(queries.end, RUN), do(engine, queries.finish, RUN, mine, **finish(mine))
    )

    assert [over, ended] == [True, False]
    assert not (await look(engine)).counts["income.items"]


async def test_purge_while_listed(engine: AsyncEngine):
    """An account that is erased while it is listed is in no partition afterwards."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)

    await meanwhile(
        engine,
        doing(queries.add_partition, RUN, token, 1, part("a", "b")),
        do(engine, purge_account, "a"),
    )

    assert not (await do(engine, remains, "a"))["pinwheel_partitions"]
    claimed = await claim(engine)
    assert claimed is not None
    assert [*claimed.units] == ["b"]


async def test_purge_before_it_is_listed(engine: AsyncEngine):
    """What nobody will read of an account that was erased does not count as units to be read."""
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    await do(engine, purge_account, "a")

    await do(engine, queries.add_partition, RUN, token, 1, part("a", "b"))

    assert (await look(engine)).counts["units"] == 1


@pytest.mark.parametrize("purge_first", [True, False])
async def test_purge_while_a_partition_ends(engine: AsyncEngine, purge_first: bool):
    """An account that is erased while its partition ends is in no failure of it afterwards."""
    await partition(engine, "a", "b")
    mine = await claim(engine)
    document = {"account_id": "a", "product": "income", "error": "ServerError", "message": "m"}
    ending = {"counts": {}, "documents": {"a": [document], "b": [document]}, "failed": []}

    purging, finishing = (purge_account, "a"), (queries.finish, RUN, mine)
    if purge_first:
        await meanwhile(engine, doing(*purging), do(engine, *finishing, **ending))
    else:
        await meanwhile(engine, doing(*finishing, **ending), do(engine, *purging))

    assert not (await do(engine, remains, "a"))["pinwheel_partitions"]
    assert (await do(engine, remains, "b"))["pinwheel_partitions"]


async def test_a_list_that_begins_again(engine: AsyncEngine):
    """A list begins again only when all that it gave is read, and counts its accounts anew."""
    token = await partition(engine, "a")
    mine = await claim(engine)

    ended, restarts = await meanwhile(
        engine, doing(queries.finish, RUN, mine, **finish(mine)), do(engine, queries.restart_list, RUN, token)
    )

    assert [ended, restarts] == [True, True]
    run = await look(engine)
    assert (run.pages, run.cursor, run.counts["accounts"], run.counts["income.items"]) == (0, None, 0, 1)


async def test_what_a_list_that_begins_again_takes_back(engine: AsyncEngine):
    """What a list counted and found to fail is taken back when it begins again; what was read stays."""
    documents = [
        {"account_id": "a", "product": product, "error": "ServerError", "message": "m"}
        for product in ("accounts", "income")
    ]
    listed = {"accounts": 2, "erased": 1, "income.unchanged": 1, "income.contradicted": 1, "error.ServerError": 1}
    _, token = await do(engine, queries.claim_list, RUN, LEASE_S)
    counts = Counter({**listed, "pages": 1, "lists_held_back": 1})
    failed = part("a", counts=counts, failures={"a": documents[:1], "b": documents[:1]})
    assert await do(engine, queries.add_partition, RUN, token, 1, failed)
    mine = await claim(engine)
    read = {"income.failed": 1, "income.contradicted": 1, "error.ServerError": 1, "pages": 1}
    assert await do(engine, queries.finish, RUN, mine, counts=read, documents={"a": documents[1:]}, failed=[])
    before = (await look(engine)).counts

    assert await do(engine, queries.restart_list, RUN, token) is True

    assert before == Counter(counts) + Counter(read) + Counter({"units": 1})
    assert (await look(engine)).counts == Counter({**read, "pages": 2, "lists_held_back": 1, "units": 1})
    assert await do(engine, queries.failures, RUN) == documents[1:]


async def test_a_list_that_has_to_wait(engine: AsyncEngine):
    """A list does not begin again before its partitions are read, nor for whoever was replaced."""
    token = await partition(engine, "a")

    assert await do(engine, queries.restart_list, RUN, token) is False
    assert await do(engine, queries.restart_list, RUN, token + 1) is None


async def test_abandoned(engine: AsyncEngine):
    """A run on which nobody has worked for a day is over; one whose last lease ended an hour ago is not."""
    await partition(engine, "a")
    await claim(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE pinwheel_runs SET began_at = now() - interval '3 days'"))
        await connection.execute(text("UPDATE pinwheel_runs SET lease_until = now() - interval '2 days'"))
        await connection.execute(text("UPDATE pinwheel_partitions SET lease_until = now() - interval '1 hour'"))
    assert (await do(engine, queries.begin, PLAN)).number == RUN
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE pinwheel_partitions SET lease_until = now() - interval '25 hours'"))

    newer = await do(engine, queries.begin, {**PLAN, "products": ["shifts"]})

    assert newer.number == RUN + 1
    assert (await look(engine)).state == "abandoned"


async def test_failures_of_the_run_before(engine: AsyncEngine):
    """A run that is begun as soon as another one is over leaves the failures of that for its report."""
    token = await partition(engine, "a")
    mine = await claim(engine)
    document = {"account_id": "a", "product": "income", "error": "ServerError", "message": "m"}
    await do(engine, queries.finish, RUN, mine, counts={}, documents={"a": [document]}, failed=[])
    await do(engine, queries.end_list, RUN, token)
    await do(engine, queries.end, RUN)

    assert (await do(engine, queries.begin, PLAN)).number == RUN + 1
    assert await do(engine, queries.failures, RUN) == [document]


async def test_a_list_that_waits(monkeypatch: pytest.MonkeyPatch):
    """A lister that waits for partitions to be read asks now and then, although there are some to be read."""
    monkeypatch.setattr(member, "POLL_S", 0.05)
    nothing: Any = None
    waiting = member.Member(nothing, nothing, nothing, RUN, lease_s=1, stop=asyncio.Event(), clock=Clock())
    waiting._new.set()
    began = monotonic()

    await waiting._pause(waiting._over)

    assert monotonic() - began >= 0.045
