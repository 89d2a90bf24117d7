"""Shared pace: several clients keep one rate, over a real PostgreSQL."""

import asyncio
import secrets
from collections import deque
from itertools import pairwise
from time import monotonic

import asyncpg
import pytest

from pinwheel_async import ConfigurationError, DeadlineError, Pinwheel, SharedPace, background
from pinwheel_async._clock import Clock
from pinwheel_async._postgres import shared_pace
from pinwheel_async.testing import FakePinwheel, Fault

NOWHERE = "postgresql://planted-user:planted-secret@127.0.0.1:1/planted"


@pytest.fixture
async def fake():
    async with FakePinwheel(accounts=1) as fake:
        yield fake


@pytest.fixture
def paces(shared_postgres):
    """Make paces of one rate, of this test's own."""
    name = secrets.token_hex(8)

    def paces(requests_per_s, **settings):
        return SharedPace(shared_postgres, requests_per_s=requests_per_s, **{"name": name} | settings)

    paces.name, paces.url = name, shared_postgres
    return paces


@pytest.fixture
async def sql(shared_postgres):
    connection = await asyncpg.connect(shared_postgres)
    yield connection
    await connection.close()


def client(fake, pace, **settings):
    return Pinwheel(fake.api_secret, base_url=fake.base_url, pace=pace, **settings)


async def call(pinwheel, times):
    await asyncio.gather(*[pinwheel.accounts.list() for _ in range(times)])


async def test_together(fake, paces):
    """Clients that share a rate send no more than it together."""
    async with client(fake, paces(100)) as one, client(fake, paces(100)) as other, client(fake, paces(100)) as third:
        began = monotonic()
        await asyncio.gather(call(one, 50), call(other, 30), call(third, 20))
        took_s = monotonic() - began

    assert len(fake.requests) == 100
    assert took_s >= 0.98  # the first of the hundred is sent at once


async def test_idle_clients(paces):
    """Clients that send nothing leave the rate to the one that does: its moments follow one another."""
    opened = [paces(200) for _ in range(3)]
    for pace in opened:
        await pace.open(Clock(), lambda: None)
    await opened[0]._take()
    moments = list(opened[0]._moments)
    for pace in opened:
        await pace.close()

    assert len(moments) == 10
    assert [1 / 200] * 9 == [pytest.approx(after - before) for before, after in pairwise(moments)]


async def test_moments_are_given_once(paces, sql):
    """However many take slices at once, the row moves on by what they were given."""
    opened = [paces(1000) for _ in range(8)]
    for pace in opened:
        await pace.open(Clock(), lambda: None)
    moments = []
    for _ in range(5):
        await asyncio.gather(*[pace._take() for pace in opened])
        for pace in opened:
            moments += pace._moments
            pace._moments.clear()
    next_at, now = await sql.fetchrow(
        "SELECT extract(epoch FROM next_at)::float8, extract(epoch FROM clock_timestamp())::float8 FROM pinwheel_rates"
        " WHERE name = $1",
        paces.name,
    )
    end = monotonic() + next_at - now
    for pace in opened:
        await pace.close()

    assert len(moments) == 8 * 5 * 50
    assert max(moments) - min(moments) >= 1.9
    assert max(moments) <= end + 1  # an answer may come late on a busy machine, and never early


async def test_pause_of_all(fake, paces):
    """What one client is asked to wait for, the others wait for as well."""
    async with client(fake, paces(1000)) as one, client(fake, paces(1000)) as other:
        fake.script(Fault(status=429, headers={"Retry-After": "2"}), operation="list_accounts")
        began = monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(call(one, 1))
            while not one._caller.paused_s:
                await asyncio.sleep(0.01)
            while one._caller._shared_rate._tasks:  # it tells the others
                await asyncio.wait(one._caller._shared_rate._tasks)
            await call(other, 1)

    assert monotonic() - began >= 1.9


async def rate_of(pace):
    """Return the rate of now."""
    await pace._take()
    return round(1 / pace.interval_s, 1)


@pytest.fixture
async def pace(paces):
    """An open pace of 100 requests per second."""
    opened = paces(100)
    await opened.open(Clock(), lambda: None)
    yield opened
    await opened.close()


async def test_pushback_halves_the_rate(fake, paces):
    """A pushback to one client halves the rate of all."""
    async with client(fake, paces(100)) as one, client(fake, paces(100)) as other:
        fake.script(Fault(status=429), operation="list_accounts")
        await call(one, 1)
        while one._caller._shared_rate._tasks:
            await asyncio.wait(one._caller._shared_rate._tasks)

        assert await rate_of(other._caller._shared_rate) == pytest.approx(50, abs=5)  # it begins to rise again


async def test_pushbacks_of_one_moment(pace):
    """What comes back from before the rate was halved, or from before all knew, halves it no further."""
    await pace._push_back(60, sent_s=0)
    await pace._push_back(60, sent_s=0)
    await pace._push_back(60, sent_s=5)

    assert await rate_of(pace) == 50


async def test_later_pushback(pace, sql):
    """What is sent at half the rate and comes back halves it again."""
    await pace._push_back(60, sent_s=0)
    await sql.execute("UPDATE pinwheel_rates SET slowed_at = slowed_at - interval '1 s' WHERE name = $1", pace._name)
    await pace._push_back(60, sent_s=0)

    assert await rate_of(pace) == 25


@pytest.mark.parametrize(("seconds", "rate"), [(0, 50), (12, 70), (30, 100), (300, 100)])
async def test_recovery(pace, sql, seconds, rate):
    """After the pause the rate rises by all of it in a minute, to what was asked for and no further."""
    await pace._push_back(0, sent_s=0)
    await sql.execute(
        "UPDATE pinwheel_rates SET slowed_at = '-infinity',"
        " paused_until = clock_timestamp() - make_interval(secs => $1) WHERE name = $2",
        seconds,
        pace._name,
    )

    assert await rate_of(pace) == pytest.approx(rate, abs=3)


async def test_least_rate(pace, sql):
    """However often it is halved, one request per second is sent."""
    for _ in range(20):
        await pace._push_back(60, sent_s=0)
        await sql.execute(
            "UPDATE pinwheel_rates SET slowed_at = slowed_at - interval '1 s' WHERE name = $1", pace._name
        )

    assert await rate_of(pace) == 1


async def test_least_rate_of_a_slow_one(paces):
    """A rate below one request per second is not raised by being halved."""
    pace = paces(0.01)
    await pace.open(Clock(), lambda: None)
    await pace._push_back(60, sent_s=0)
    await pace._take()
    await pace.close()

    assert pace.interval_s == 100


async def test_table_of_an_earlier_version(paces, sql):
    """A table without the columns of the halved rate gets them, and its rows stay."""
    schema = f"s{paces.name}"
    await sql.execute(f"CREATE SCHEMA {schema}")
    await sql.execute(
        f"CREATE TABLE {schema}.pinwheel_rates (name text PRIMARY KEY, per_s float8 NOT NULL,"
        " next_at timestamptz NOT NULL DEFAULT '-infinity', paused_until timestamptz NOT NULL DEFAULT '-infinity')"
    )
    await sql.execute(f"INSERT INTO {schema}.pinwheel_rates (name, per_s) VALUES ('another', 7)")  # noqa: S608
    pace = paces(100, schema=schema)
    await pace.open(Clock(), lambda: None)
    await pace._push_back(60, sent_s=0)
    rate = await rate_of(pace)
    await pace.close()

    assert rate == 50
    others = await sql.fetchval(f"SELECT per_s FROM {schema}.pinwheel_rates WHERE name = 'another'")  # noqa: S608
    assert others == 7


async def test_pause_that_a_call_outlasts_not(fake, paces):
    """A call that the shared rate would let wait for longer than it may is refused at once, with the cure."""
    async with client(fake, paces(0.01)) as pinwheel:
        await call(pinwheel, 1)
        while pinwheel._caller._shared_rate._tasks:  # it takes the next moment, which is 100 s away
            await asyncio.wait(pinwheel._caller._shared_rate._tasks)
        with pytest.raises(DeadlineError, match="under the client's own pace its turn would have come after") as caught:
            await pinwheel.accounts.list()

    assert caught.value.reason == "pace"
    assert caught.value.wait_s > 50


async def test_database_that_is_away(fake, paces, caplog):
    """While the database is away nothing is sent, calls end by their deadline, and the log says so without the URL."""
    pace = SharedPace(NOWHERE, requests_per_s=100)
    async with client(fake, pace, timeout_s=0.5) as pinwheel:
        for _ in range(3):
            with pytest.raises(DeadlineError):
                await pinwheel.accounts.list()

    assert not fake.requests
    assert caplog.text.count("the shared pace cannot be reached") == 1
    assert "planted" not in caplog.text + repr(pace)


async def test_lost_connection(fake, paces, sql):
    """A connection that the server ends is made anew."""
    async with client(fake, paces(1000)) as pinwheel:
        await call(pinwheel, 1)
        pid = await pinwheel._caller._shared_rate._connection.fetchval("SELECT pg_backend_pid()")
        await sql.execute("SELECT pg_terminate_backend($1)", pid)
        with background():
            await call(pinwheel, 100)

    assert len(fake.requests) == 101


async def test_row_that_was_removed(fake, paces, sql):
    """A row that somebody has removed is made again."""
    async with client(fake, paces(1000)) as pinwheel:
        await call(pinwheel, 1)
        await sql.execute("DELETE FROM pinwheel_rates WHERE name = $1", paces.name)
        await call(pinwheel, 100)

    assert await sql.fetchval("SELECT per_s FROM pinwheel_rates WHERE name = $1", paces.name) == 1000


async def test_rate_that_changes(fake, paces):
    """The client that was opened last says the rate, also for those that are open."""
    async with client(fake, paces(0.01)) as one:
        await call(one, 1)
        async with client(fake, paces(1000, name=f"{paces.name}-other")):
            pass
        assert one._caller._shared_rate.interval_s == 100
        async with client(fake, paces(50)):
            await one._caller._shared_rate._take()

        assert one._caller._shared_rate.interval_s == 1 / 50


async def test_reconnecting_does_not_change_the_rate(fake, paces, sql):
    """A client that was opened before the rate was changed does not take the change back when it connects again."""
    async with client(fake, paces(1000)) as one, client(fake, paces(500)):
        pid = await one._caller._shared_rate._connection.fetchval("SELECT pg_backend_pid()")
        await sql.execute("SELECT pg_terminate_backend($1)", pid)
        with background():
            await call(one, 100)

    assert await sql.fetchval("SELECT per_s FROM pinwheel_rates WHERE name = $1", paces.name) == 500


async def test_cancelled_while_it_opens(fake, paces):
    """A client that is cancelled while it opens leaves the pace free for another one."""
    pace = paces(100)
    opening = asyncio.create_task(client(fake, pace).open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    async with client(fake, pace) as pinwheel:
        await call(pinwheel, 1)

    assert opening.cancelled()


async def test_database_that_hangs(fake, paces, monkeypatch):
    """A database that says nothing keeps no client from being opened."""
    monkeypatch.setattr(shared_pace, "ANSWER_S", 0.1)
    pace = paces(100)
    async with client(fake, paces(100)):  # and the table is there
        pass
    monkeypatch.setattr(pace, "_register", lambda _: asyncio.Event().wait())
    async with client(fake, pace, timeout_s=0.3) as pinwheel:
        with pytest.raises(DeadlineError):
            await pinwheel.accounts.list()


async def test_schema(fake, paces, sql):
    """The table can be in a schema, whatever its name."""
    schema = f'odd "{paces.name}'
    await sql.execute('CREATE SCHEMA "{}"'.format(schema.replace('"', '""')))
    async with client(fake, paces(100, schema=schema)) as pinwheel:
        await call(pinwheel, 1)

    assert await sql.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema) == 1


async def test_opening_at_once(paces, sql):
    """Many processes that open one rate at the same moment make the table once."""
    schema = f"s{paces.name}"
    await sql.execute(f"CREATE SCHEMA {schema}")
    opened = [paces(100, schema=schema) for _ in range(8)]
    await asyncio.gather(*[pace.open(Clock(), lambda: None) for pace in opened])
    connected = [pace._connection is not None for pace in opened]
    for pace in opened:
        await pace.close()

    assert all(connected)


def test_moments_that_were_not_used():
    """What was not used while nothing was sent is not made good in a burst."""
    pace = SharedPace(NOWHERE, requests_per_s=10)
    pace._moments = deque([1.0, 1.1, 1.2])

    assert [pace.take(1.21), pace.take(1.21)] == [True, False]


@pytest.mark.parametrize("place", ["database", "schema"])
async def test_database_that_refuses(fake, paces, place):
    """What time does not cure is told when the client is opened, without the URL."""
    url = paces.url.rpartition("/")[0] + "/planted" if place == "database" else paces.url
    pinwheel = client(fake, SharedPace(url, requests_per_s=1, schema="planted"))

    with pytest.raises(ConfigurationError, match="the database of the shared pace refuses") as caught:
        await pinwheel.__aenter__()
    assert "planted" not in str(caught.value)
    assert "closed" in repr(pinwheel)


async def test_one_client_each(fake, paces):
    """A pace that another client uses is refused, goes on for that one, and can be used when that is closed."""
    pace = paces(100)
    async with client(fake, pace) as first:
        with pytest.raises(ConfigurationError, match="give each client a SharedPace of its own"):
            await client(fake, pace).__aenter__()
        await call(first, 20)
    async with client(fake, pace) as pinwheel:
        await call(pinwheel, 1)


def test_client_of_another_loop(paces):
    """A client that a loop has left open can be opened in the next one."""
    with FakePinwheel(accounts=1) as fake:
        pinwheel = client(fake, paces(100))

        async def use(*, close):
            await pinwheel.open()
            await call(pinwheel, 1)
            if close:
                await pinwheel.close()

        for close in (True, True):
            asyncio.run(use(close=close))

        assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"requests_per_s": 0}, "requests_per_s must be a number above 0"),
        ({"requests_per_s": float("inf")}, "requests_per_s must be a number above 0"),
        ({"requests_per_s": "50"}, "requests_per_s must be a number above 0"),
        ({"requests_per_s": 1, "name": ""}, "name must be text that is not empty"),
        ({"requests_per_s": 1, "schema": 7}, "schema must be text that is not empty"),
    ],
)
def test_arguments(settings, complaint):
    """What cannot work is refused by name."""
    with pytest.raises(ConfigurationError, match=complaint):
        SharedPace(NOWHERE, **settings)


def test_no_url():
    """What is no URL of PostgreSQL is refused, and not shown."""
    with pytest.raises(ConfigurationError, match="the URL of the shared pace must be like") as caught:
        SharedPace("planted", requests_per_s=1)
    assert "planted" not in str(caught.value)


def test_two_rates():
    """A client has one rate."""
    with pytest.raises(ConfigurationError, match="requests_per_s must be left out where pace is given"):
        Pinwheel("secret", requests_per_s=5, pace=SharedPace(NOWHERE, requests_per_s=5))


BEFORE = """
CREATE TABLE pinwheel_rates (
    name text PRIMARY KEY, per_s float8 NOT NULL, next_at timestamptz NOT NULL DEFAULT '-infinity',
    paused_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO pinwheel_rates (name, per_s) VALUES ('a rate', 50)
"""
"""The table of version 0.1.0."""


async def test_migrate(paces, sql):
    """A table of version 0.1.0 is brought up to date once, behind who uses it, and its rates stay."""
    schema = paces.name
    for name in (schema, f"{schema}-2"):
        await sql.execute(f'CREATE SCHEMA "{name}"')
    await sql.execute(f'SET search_path = "{schema}"')
    await sql.execute(BEFORE)
    pace, made = paces(1, schema=schema), paces(1, schema=f"{schema}-2")
    async with sql.transaction():
        await sql.execute("UPDATE pinwheel_rates SET next_at = now()")
        migrating = asyncio.create_task(pace.migrate())
        await asyncio.wait([migrating], timeout=2.5)  # longer than it waits at once
        assert not migrating.done()

    assert [True, False, True] == [await migrating, await pace.migrate(), await made.migrate()]
    assert ("a rate", 50, None) == tuple(await sql.fetchrow("SELECT name, per_s, slowed_to FROM pinwheel_rates"))
    await sql.execute(f'SET search_path = "{schema}-2"')
    assert 0 == await sql.fetchval("SELECT count(*) FROM pinwheel_rates")


async def test_migrate_without_the_right_to(paces):
    """A database that refuses is told of without its URL."""
    with pytest.raises(ConfigurationError, match="migrate --pace does") as caught:
        await SharedPace(NOWHERE, requests_per_s=1).migrate()

    assert "planted" not in str(caught.value)
