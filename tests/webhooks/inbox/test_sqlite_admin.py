"""Administration of a SQLite inbox: purges and revivals that go in portions beside a receiver."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from pinwheel_async.webhooks import DeliveryFilter
from pinwheel_async.webhooks._inbox import sqlite_admin

from .refusals import BODY

DONE = DeliveryFilter(states="done")


@pytest.fixture
def portions(monkeypatch):
    """Let portions be of two rows, and four be looked for at once."""
    monkeypatch.setattr(sqlite_admin, "PORTION_ROWS", 2)
    monkeypatch.setattr(sqlite_admin, "FOUND_ROWS", 4)


@pytest.fixture
def changes(monkeypatch):
    """Record how many rows each transaction was asked to change."""
    sizes = []
    change = sqlite_admin._change

    def counted(store, *, rows, **more):
        sizes.append(len(rows))
        return change(store, rows=rows, **more)

    monkeypatch.setattr(sqlite_admin, "_change", counted)
    return sizes


async def fill(inbox, deliver, count, ordering_key=None):
    for number in range(count):
        await inbox.put(deliver(f"{number}", ordering_key=ordering_key))


async def finish(inbox):
    while claims := await inbox.claim(64, lease_s=60):
        for claim in claims:
            await inbox.done(claim)


async def test_purge_goes_in_portions(opened, deliver_apart, portions, changes):
    """No transaction of a purge changes more than a portion."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 9)
        await finish(inbox)

        assert 9 == await inbox.purge(DONE)
    assert [2, 2, 2, 2, 1] == changes


async def test_portion_ends_when_its_time_is_over(opened, deliver_apart, changes, monkeypatch):
    """A transaction that has taken its time leaves the rest of its portion to the next."""
    monkeypatch.setattr(sqlite_admin, "PORTION_S", 0)
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 150)
        await finish(inbox)

        assert 150 == await inbox.purge(DONE)
    assert [150, 150 - 64, 150 - 128] == changes


async def test_deliveries_are_put_between_portions(opened, deliver_apart, portions, changes):
    """What is put while a purge goes on is stored before the purge is over."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 20)
        await finish(inbox)
        task = asyncio.create_task(inbox.purge(DONE))
        async with asyncio.timeout(60):
            while not changes:
                await asyncio.sleep(0)
            await inbox.put(deliver_apart("new"))
        early = not task.done()

        assert 20 == await task
        assert early
        assert ["new"] == [entry.event_id for entry in await inbox.entries()]


async def test_cancelled_purge_can_be_gone_on_with(opened, deliver_apart, portions, changes):
    """A purge that is cancelled has forgotten a part; doing it again forgets the rest, and the books are right."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 20)
        await finish(inbox)
        task = asyncio.create_task(inbox.purge(DONE))
        async with asyncio.timeout(60):
            while not changes:
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        left = (await inbox.counts()).done
        again = await inbox.purge(DONE)

        assert task.cancelled()
        assert 0 < left < 20
        assert (left, 0) == (again, (await inbox.counts()).done)


async def test_row_that_does_not_fit_any_more_stays(opened, deliver_apart, monkeypatch):
    """A delivery that has changed since it was found is looked at again, and left alone."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
        find = sqlite_admin._find
        (claim,) = await inbox.claim(1, lease_s=60)
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def find_and_tell(*args, **more):
            found = find(*args, **more)
            asyncio.run_coroutine_threadsafe(inbox.done(claim), loop).result()
            loop.call_soon_threadsafe(asked.set)
            return found

        monkeypatch.setattr(sqlite_admin, "_find", find_and_tell)

        assert 0 == await inbox.purge(DeliveryFilter(states="claimed"))
        assert asked.is_set()
        assert 1 == (await inbox.counts()).done


async def test_purge_ends_though_more_comes(opened, deliver_apart, portions, monkeypatch):
    """A purge of everything leaves alone what was put after it had begun."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 4)
        loop = asyncio.get_running_loop()
        find, numbers = sqlite_admin._find, iter(range(100, 200))

        def find_and_put(*args, **more):
            delivery = deliver_apart(f"{next(numbers)}")
            asyncio.run_coroutine_threadsafe(inbox.put(delivery), loop).result()
            return find(*args, **more)

        monkeypatch.setattr(sqlite_admin, "_find", find_and_put)

        assert 4 == await inbox.purge(DeliveryFilter())


async def test_purged_bodies_are_overwritten(opened, path, deliver_apart):
    """No byte of a purged body is left in the file once it is closed, in whatever state it was."""
    async with opened(keep_bodies_s=1_000) as inbox:
        for name in ("done", "dead", "waiting"):
            await inbox.put(deliver_apart(name))
        first, second = await inbox.claim(2, lease_s=60)
        await inbox.done(first)
        await inbox.fail(second, reason="r", retry_in_s=None)
        await inbox.purge(DeliveryFilter())

    assert BODY[:20] not in b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_purge_of_the_first_lets_the_next_come(opened, deliver_apart, portions):
    """Where the first of an ordering key is purged and others are not, the next of it is claimed."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 3, ordering_key="account")
        await inbox.claim(1, lease_s=60)
        await inbox.purge(DeliveryFilter(event_ids=["0"]))

        assert ["1"] == [claim.delivery.event_id for claim in await inbox.claim(3, lease_s=60)]


@pytest.mark.parametrize(
    "filter",
    [DeliveryFilter(states="done"), DeliveryFilter(ordering_key="1"), DeliveryFilter(event_ids=["1"])],
)
async def test_purge_looks_for_rows_without_the_write_lock(opened, deliver_apart, filter, monkeypatch):
    """While the rows of a purge are looked for, another process can write."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, 3)
        await finish(inbox)
        find = sqlite_admin._find
        written = []

        def find_and_write(connection, *args, **more):
            found = find(connection, *args, **more)
            with closing(sqlite3.connect(inbox._options.path, timeout=0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("COMMIT")
            written.append(True)
            return found

        monkeypatch.setattr(sqlite_admin, "_find", find_and_write)
        await inbox.purge(filter)

    assert [True] == written


async def test_change_costs_the_same_however_much_there_is(opened, deliver_apart, path):
    """Beside 100,000 that are done, a transaction that purges some of them takes no more steps than beside none."""
    taken = [0]

    def count():
        taken[0] += 1

    async def steps(inbox, ordering_key):
        taken[0] = 0
        await inbox._group.submit(lambda store: store.connection.set_progress_handler(count, 1))
        await inbox.purge(DeliveryFilter(states="done", ordering_key=ordering_key))
        await inbox._group.submit(lambda store: store.connection.set_progress_handler(None, 1))
        return taken[0]

    async with opened() as inbox:
        for number in range(128):
            await inbox.put(deliver_apart(f"{number}", ordering_key="even" if number % 2 == 0 else "odd"))
        await finish(inbox)
        few = await steps(inbox, "even")
        with closing(sqlite3.connect(path)) as other:
            other.executescript("""
                WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
                INSERT INTO delivery (
                    event_id, event, ordering_key, received_at, signed_with, assigned, first, state, at, attempts, token
                )
                SELECT 'done' || i, 'e', 'k', 0, 'k', 1, 0, 'done', 9e9, 0, 0 FROM n;
            """)
        many = await steps(inbox, "odd")

    # Deeper trees take a few steps more; looking at each row would take a hundred thousand.
    assert many < few + 1_000
