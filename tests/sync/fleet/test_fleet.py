"""A sync that several processes do together: one run, one report, whoever comes and goes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from pinwheel_async import ConfigurationError, ForbiddenError, Pinwheel, RequestError, UnauthorizedError
from pinwheel_async.sync import Fleet, MemorySink, Progress, SqlSink, SyncReport, purge, status, sync
from pinwheel_async.sync._fleet import lister, member
from pinwheel_async.sync._run import reading
from pinwheel_async.testing import FakePinwheel, Fault

PRODUCTS = ("income", "paystubs")


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small partitions, and short pauses."""
    monkeypatch.setattr(lister, "UNITS_AT_ONCE", 1)
    monkeypatch.setattr("pinwheel_async.sync._run.run.PAGE_LIMIT", 2)
    monkeypatch.setattr(reading, "_PAUSE_S", 0.1)
    for module in ("member", "fleet"):
        monkeypatch.setattr(f"pinwheel_async.sync._fleet.{module}.POLL_S", 0.02)
    monkeypatch.setattr(member, "BEAT_S", 0.02)


@pytest.fixture
async def sql(postgres: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres)
    yield connection
    await connection.close()


def fleet(pinwheel: Pinwheel | None, postgres: str, **options: Any) -> Fleet:
    return Fleet(pinwheel, SqlSink(postgres), **options)


def hang(fake: FakePinwheel) -> None:
    """Let the last of twelve requests take longer than anybody waits."""
    fake.script(*[Fault()] * 11, Fault(delay_s=30), operation="get_income")


async def until(fake: FakePinwheel, operation: str, count: int) -> None:
    """Wait until a request has come so many times."""
    async with asyncio.timeout(10):
        while fake.counts[operation] < count:
            await asyncio.sleep(0.005)


def comparable(report: SyncReport) -> dict[str, Any]:
    """Return a report without what depends on the hour, and on how the list was cut into pages."""
    fields = report.to_dict()
    del fields["seconds"], fields["pages"]
    return fields


@pytest.mark.parametrize("place", ["sqlite:///copy.db", None])
def test_without_postgres(pinwheel: Pinwheel, place: str | None):
    """A copy that is not in PostgreSQL is refused."""
    sink: Any = MemorySink() if place is None else SqlSink(place)

    with pytest.raises(ConfigurationError, match="needs a copy in PostgreSQL"):
        Fleet(pinwheel, sink)


@pytest.mark.parametrize("lease_s", [0, -1, "60"])
def test_a_lease_that_cannot_be(pinwheel: Pinwheel, lease_s: Any):
    """A lease that cannot be is refused."""
    with pytest.raises(ConfigurationError, match="lease_s"):
        Fleet(pinwheel, SqlSink("postgresql://db/copy"), lease_s=lease_s)


async def test_without_a_client(postgres: str):
    """A fleet without a client cannot work, and says so."""
    with pytest.raises(ConfigurationError, match="without a client"):
        await fleet(None, postgres).sync()


async def test_a_wrong_argument(pinwheel: Pinwheel, postgres: str):
    """An argument that cannot be meant is refused before there is a run."""
    alone = fleet(pinwheel, postgres)
    with pytest.raises(RequestError, match="max_removed"):
        await alone.sync(max_removed=2)

    assert await alone.latest() is None


async def test_the_same_report(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, url: str):
    """Of one process, the report is that of a sync: also of what is missing, or fails."""
    fake.script(Fault(status=404), times=2, operation="get_income", account_id=fake.world.account_id(1))
    fake.script(Fault(status=500), times=2, operation="list_paystubs", account_id=fake.world.account_id(3))
    single = await sync(pinwheel, SqlSink(url), products=PRODUCTS)
    seen: list[Progress] = []

    report = await fleet(pinwheel, postgres).sync(products=PRODUCTS, on_progress=seen.append)

    assert comparable(single) == comparable(report)
    assert len(single.failures) == 1
    last = seen[-1]
    assert (last.units_done, last.units_total, last.accounts_total) == (24, 24, 12)
    assert (last.items, last.failures, last.errors) == (report.items, 1, {"ServerError": 1})


async def test_the_second_run(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A second run reads nothing but the list."""
    together = fleet(pinwheel, postgres)
    await together.sync(products=PRODUCTS)
    fake.clear_records()

    report = await together.sync()

    assert {"list_accounts"} == {*fake.counts}
    assert (report.unchanged, report.items, report.ok) == (24, 0, True)


async def test_what_the_copy_is(pinwheel: Pinwheel, postgres: str, url: str):
    """A run notes what the copy is, as a sync does, so that nobody mixes something else into it."""
    await sync(pinwheel, SqlSink(url), products=PRODUCTS)
    await fleet(pinwheel, postgres).sync(products=PRODUCTS)

    assert (await status(url)).scope == (await status(postgres)).scope
    with pytest.raises(ConfigurationError, match="change_scope=True"):
        await sync(pinwheel, SqlSink(postgres), products=["identity"])


async def test_what_was_purged_is_not_asked_for(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """Paystubs of days that were purged are asked for no more, and what is there is no news in the next run."""
    together = fleet(pinwheel, postgres)
    await together.sync(products=["paystubs"])
    await purge(postgres, before=date(2026, 1, 1))
    await together.sync(changed_only=False)
    fake.clear_records()

    report = await together.sync()

    assert (report.unchanged, {*fake.counts}) == (12, {"list_accounts"})


async def test_three_share(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """Of three that work on a run none reads what another one has read, and all report the whole."""
    reports = await asyncio.gather(*[fleet(pinwheel, postgres).sync(products=PRODUCTS) for _ in range(3)])

    assert 12 == fake.counts["get_income"]
    assert reports[0] == reports[1] == reports[2]
    assert reports[0].products["income"].complete == 12


async def test_another_plan(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """Who wants another run than the one that is not over is refused, and the run goes on."""
    hang(fake)
    first = asyncio.create_task(fleet(pinwheel, postgres).sync(products=["income"]))
    await until(fake, "get_income", 12)

    with pytest.raises(ConfigurationError, match="another plan"):
        await fleet(pinwheel, postgres).sync(products=["income"], recheck_after=timedelta(days=1))

    assert not first.done()
    first.cancel()
    await asyncio.wait([first])


async def test_what_the_copy_does_not_hold(pinwheel: Pinwheel, postgres: str):
    """Who wants more than the copy holds is refused before there is a run."""
    together = fleet(pinwheel, postgres)
    await together.sync(products=["income"])

    with pytest.raises(ConfigurationError, match="not what the copy holds"):
        await together.sync(products=["shifts"])

    run = await together.latest()
    assert run is not None
    assert run.number == 1


async def test_stop_of_a_process(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A process that is to stop gives back what it reads at once, and another one goes on without waiting."""
    hang(fake)
    stop = asyncio.Event()
    first = asyncio.create_task(fleet(pinwheel, postgres).sync(products=PRODUCTS, stop=stop))
    await until(fake, "get_income", 12)
    while (await status(postgres)).products["income"].complete < 11:
        await asyncio.sleep(0.01)
    stop.set()
    left = await first

    report = await fleet(pinwheel, postgres).sync(products=PRODUCTS)

    assert left.stopped
    assert report.ok
    assert report.products["income"].complete == report.products["paystubs"].complete == 12
    assert fake.counts["get_income"] == 13


async def test_stop_of_the_run(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A run that is told to stop ends in all processes, and what was read counts and is not read again."""
    hang(fake)
    both = [asyncio.create_task(fleet(pinwheel, postgres).sync(products=PRODUCTS)) for _ in range(2)]
    await until(fake, "get_income", 12)
    while (await status(postgres)).products["paystubs"].complete < 12:
        await asyncio.sleep(0.01)

    assert await fleet(None, postgres).stop() is True
    reports = await asyncio.gather(*both)

    assert reports[0] == reports[1]
    assert reports[0].stopped
    assert (reports[0].products["income"].complete, reports[0].products["paystubs"].complete) == (11, 12)
    again = await fleet(pinwheel, postgres).sync()
    assert (again.products["income"].complete, again.unchanged) == (1, 23)


async def test_stop_without_a_run(pinwheel: Pinwheel, postgres: str):
    """There is nothing to stop before a run and after it."""
    together = fleet(pinwheel, postgres)
    assert await together.stop() is False
    await together.sync(products=["income"])

    assert await together.stop() is False


async def test_work(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """One that works on every run works on those that others begin, with their plan, until it is to stop."""
    fake.script(Fault(delay_s=30), operation="list_accounts")
    stop = asyncio.Event()
    works = asyncio.create_task(fleet(pinwheel, postgres).work(stop=stop))
    begins = asyncio.create_task(fleet(pinwheel, postgres).sync(products=["income"]))
    await until(fake, "list_accounts", 1)
    begins.cancel()
    await asyncio.wait([begins])
    watcher = fleet(None, postgres)

    progress = [progress async for progress in watcher.watch()]

    stop.set()
    await works
    assert (progress[-1].units_done, progress[-1].units_total) == (12, 12)
    run = await watcher.latest()
    assert run is not None
    assert (run.state, run.report.products["income"].complete) == ("done", 12)


async def test_watch_without_a_run(postgres: str):
    """Nothing is seen of a run where there was none."""
    assert [] == [progress async for progress in fleet(None, postgres).watch()]


async def test_a_failure(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """What fails is kept once, and over when a later run reads it."""
    account_id = fake.world.account_id(5)
    fake.script(Fault(status=500), operation="get_income", account_id=account_id)
    together = fleet(pinwheel, postgres)
    await together.sync(products=["income"])
    failed = (await status(postgres)).failures

    report = await together.sync()

    assert [(failure.account_id, failure.product, failure.attempts) for failure in failed] == [
        (account_id, "income", 1)
    ]
    assert report.products["income"].complete == 1
    assert not (await status(postgres)).failures


async def test_an_odd_account(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """An account that cannot be read is reported, beside the failure of its own product."""
    account_id = fake.world.account_id(1)
    page = (await pinwheel.accounts.list(limit=2)).to_dict()
    page["data"][1]["connected"] = "perhaps"
    fake.script(Fault(json=page), operation="list_accounts")
    fake.script(Fault(status=500), operation="get_income", account_id=account_id)

    report = await fleet(pinwheel, postgres).sync(products=["income"])

    assert [(failure.account_id, failure.product) for failure in report.failures] == [
        (account_id, "accounts"),
        (account_id, "income"),
    ]
    assert (report.accounts, report.products["income"].complete) == (12, 11)


async def test_a_cursor_that_is_refused(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A list whose cursor is refused begins again, and nothing is read or counted twice."""
    fake.script(Fault(), Fault(), Fault(), Fault(status=400), operation="list_accounts")

    report = await fleet(pinwheel, postgres).sync(products=["income"])

    assert (report.ok, report.accounts) == (True, 12)
    assert (report.products["income"].complete, report.products["income"].unchanged) == (12, 0)
    assert fake.counts["get_income"] == 12


def listing(fake: FakePinwheel, *left_out: int) -> Fault:
    """Return a list of accounts, as one page, without some of them."""
    named = [json.loads(entry.body) for at, entry in enumerate(fake.world.accounts(None)) if at not in left_out]
    return Fault(json={"data": named, "meta": {"count": len(named), "next_cursor": None}})


async def test_a_list_that_is_odd_once(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A list that lacks too many accounts is held back and read again, and nothing is read twice."""
    await fleet(pinwheel, postgres).sync(products=PRODUCTS)
    for account_id in fake.world.account_ids():
        fake.world.touch(account_id, "income")
    fake.clear_records()
    fake.script(listing(fake, *range(3, 12)), operation="list_accounts")

    report = await fleet(pinwheel, postgres).sync(products=PRODUCTS)

    assert (report.ok, report.accounts, report.lists_held_back, report.gone) == (True, 12, 1, 0)
    assert (fake.counts["get_income"], report.products["income"].complete) == (12, 12)


async def test_lists_that_never_agree(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, sql: Any):
    """If no two lists in a row say the same it is a failure, and nobody is missed; the next run is well."""
    await fleet(pinwheel, postgres).sync(products=PRODUCTS)
    fake.script(*[listing(fake, *range(few, 12)) for few in (1, 2, 1, 2)], operation="list_accounts")

    report, again = [await fleet(pinwheel, postgres).sync(products=PRODUCTS) for _ in range(2)]

    (failure,) = report.failures
    assert (failure.account_id, failure.product) == (None, "accounts")
    assert (report.lists_held_back, report.gone, again.ok) == (4, 0, True)
    assert await sql.fetchval("SELECT count(*) FROM pinwheel_checkpoints WHERE missed_at IS NOT NULL") == 0


async def test_a_lister_that_is_stopped_in_doubt(
    fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, sql: Any, monkeypatch: pytest.MonkeyPatch
):
    """What a lister held back is believed by no other one that goes on from its end."""
    monkeypatch.setattr(reading, "_PAUSE_S", 60)
    await fleet(pinwheel, postgres).sync(products=PRODUCTS)
    odd = listing(fake, 3)
    odd.json["meta"]["count"] = 12
    fake.script(odd, operation="list_accounts")
    fake.clear_records()
    first = asyncio.create_task(fleet(pinwheel, postgres).sync(products=PRODUCTS))
    async with asyncio.timeout(10):
        while not await sql.fetchval("SELECT count(*) FROM pinwheel_runs WHERE ended_at IS NULL AND partitions > 1"):
            await asyncio.sleep(0.005)
    first.cancel()
    await asyncio.wait([first])

    report = await fleet(pinwheel, postgres).sync(products=PRODUCTS)

    assert (fake.counts["list_accounts"], report.gone) == (1, 0)
    assert await sql.fetchval("SELECT count(*) FROM pinwheel_checkpoints WHERE missed_at IS NOT NULL") == 0


async def test_accounts_that_are_gone(
    fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, caplog: pytest.LogCaptureFixture
):
    """An account that two whole lists did not name is marked as deleted, counted, and said."""
    together = fleet(pinwheel, postgres)
    await together.sync(products=["income"])
    left = (await pinwheel.accounts.list(limit=100)).to_dict()
    del left["data"][0]
    left["meta"]["count"] -= 1
    fake.script(Fault(json=left), times=3, operation="list_accounts")

    gone = [(await together.sync()).gone for _ in range(3)]

    assert gone == [0, 1, 0]
    assert caplog.messages.count("1 accounts are not listed any more") == 1


async def test_an_erased_account(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str, sql: Any):
    """Nothing is fetched of an account that was erased, and no table names it."""
    account_id = fake.world.account_id(0)
    together = fleet(pinwheel, postgres)
    await together.sync(products=["income"])
    await purge(postgres, account_id=account_id)
    fake.clear_records()

    report = await together.sync(changed_only=False)

    assert (report.erased, fake.counts["get_income"]) == (1, 11)
    assert not await sql.fetchval(
        "SELECT count(*) FROM pinwheel_partitions WHERE strpos(pinwheel_partitions::text, $1) > 0", account_id
    )


async def test_a_refetch_goes_on(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A run that reads everything again and was stopped is gone on with by the next one."""
    together = fleet(pinwheel, postgres)
    await together.sync(products=PRODUCTS)
    fake.clear_records()
    hang(fake)
    again = asyncio.create_task(together.sync(changed_only=False))
    await until(fake, "get_income", 12)
    while (await together.latest()).report.products["paystubs"].complete < 10:  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    await together.stop()
    stopped = await again
    fake.clear_records()

    report = await together.sync(changed_only=False)

    assert stopped.stopped
    assert report.ok
    assert fake.counts["get_income"] + fake.counts["list_paystubs"] <= 3
    fake.clear_records()
    await together.sync(changed_only=False)
    assert (fake.counts["get_income"], fake.counts["list_paystubs"]) == (12, 12)


async def test_a_wrong_secret(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A process whose secret is not accepted ends, and the run goes on with the others."""
    reports: list[SyncReport] = []
    async with Pinwheel("another-secret", base_url=fake.base_url) as other:
        with pytest.raises(UnauthorizedError):
            await fleet(other, postgres).sync(products=["income"], on_report=reports.append)

    report = await fleet(pinwheel, postgres).sync(products=["income"])

    assert reports[0].ended_by == "UnauthorizedError"
    assert report.products["income"].complete == 12


async def test_a_key_without_rights(fake: FakePinwheel, pinwheel: Pinwheel, postgres: str):
    """A process whose key may read nothing ends with what the API says."""
    for operation in ("get_income", "get_identity"):
        fake.script(Fault(status=403), times=12, operation=operation)

    with pytest.raises(ForbiddenError):
        await fleet(pinwheel, postgres, concurrency=2).sync(products=["income", "identity"])


async def test_a_schema_of_its_own(pinwheel: Pinwheel, postgres: str, sql: Any):
    """The rows of a fleet are where the tables of its copy are."""
    placed = Fleet(pinwheel, SqlSink(postgres, schema="payroll", prefix="pw_"))

    assert (await placed.sync(products=["income"])).ok
    assert await sql.fetchval("SELECT state FROM payroll.pw_pinwheel_runs") == "done"


async def test_no_ids_after_the_run(pinwheel: Pinwheel, postgres: str, sql: Any):
    """Nothing is left of the partitions of a run that has ended well."""
    await fleet(pinwheel, postgres).sync(products=["income"])

    assert await sql.fetchval("SELECT count(*) FROM pinwheel_partitions") == 0
