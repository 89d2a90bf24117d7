"""Shared pace: one rate for the clients of many processes, kept as a row in PostgreSQL."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import Any

from pinwheel_async._clock import Clock, time_limit
from pinwheel_async._core.arguments import is_more_than, wrong
from pinwheel_async._http.throttle import SLACK_S
from pinwheel_async._postgres.driver import Connection, connect, driver
from pinwheel_async._postgres.migration import MIGRATION_WAIT_S, while_locked
from pinwheel_async._postgres.url import connect_arguments
from pinwheel_async._privacy import Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError

logger = logging.getLogger("pinwheel_async.http")

SLICE_S = 0.05
"""Seconds of the rate that a client takes at once. What it has taken is still sent after another one was asked to wait,
and is lost with a process that dies; shorter slices cost more statements."""

ANSWER_S = 5.0
"""Seconds that the database has for an answer."""

MAX_BACKOFF_S = 5.0
"""Most seconds between two attempts to reach a database that is away; the first is tried after a hundredth."""

RECOVERY_S = 60.0
"""Seconds in which the rate rises from nothing to what was asked for, once pauses are over: the usual window of a
limit, so that what is too much is tried no more than a few times in it. Of a server that allowed 50 per second, three
clients that were told 100 had 43 per second answered in 40 seconds, and 4 of 1,740 refused."""

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    name text PRIMARY KEY,
    per_s float8 NOT NULL CHECK (per_s > 0),
    next_at timestamptz NOT NULL DEFAULT '-infinity',
    paused_until timestamptz NOT NULL DEFAULT '-infinity'
)
"""

_COLUMNS = """
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS slowed_to float8, ADD COLUMN IF NOT EXISTS slowed_at timestamptz
"""
"""What the rate was last halved to, and when; null if it never was. Beside the columns of version 0.1.0, which goes on
with such a table, at the rate of before."""

_HAS_COLUMNS = """
SELECT EXISTS (
    SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'slowed_at' AND NOT attisdropped
)
"""

_RATE = f"""CASE WHEN slowed_at IS NULL THEN per_s ELSE least(per_s, slowed_to + per_s / {RECOVERY_S} * greatest(
    0, extract(epoch FROM clock_timestamp() - greatest(slowed_at, paused_until))
)::float8) END"""
"""The rate of now. It follows from when it was halved, so that nobody has to raise it."""

_REGISTER = """
INSERT INTO {table} AS rate (name, per_s) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET per_s = excluded.per_s WHERE rate.per_s <> excluded.per_s
"""

_RESTORE = """
INSERT INTO {table} (name, per_s) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING
"""

_TAKE = """
UPDATE {table}
SET next_at = greatest(next_at, paused_until, clock_timestamp()) + make_interval(secs => $2 / ({rate}))
WHERE name = $1
RETURNING per_s AS most_per_s, {rate} AS per_s,
    extract(epoch FROM next_at - clock_timestamp())::float8 - $2 / ({rate}) AS begins_in_s
"""

_IS_NEWS = f"""(
    slowed_at IS NULL OR clock_timestamp() - make_interval(secs => $3) > slowed_at + interval '{2 * SLICE_S} s'
)"""
"""Whether a request was sent after the rate was halved, and after that was known to all; others say nothing new."""

_PUSH_BACK = """
UPDATE {table} SET
    paused_until = greatest(paused_until, clock_timestamp() + make_interval(secs => $2)),
    slowed_to = CASE WHEN {is_news} THEN greatest(least(1, per_s), ({rate}) / 2) ELSE slowed_to END,
    slowed_at = CASE WHEN {is_news} THEN clock_timestamp() ELSE slowed_at END
WHERE name = $1
"""

_PERMANENT: tuple[Any, ...] = (
    driver.InvalidAuthorizationSpecificationError,
    driver.InvalidCatalogNameError,
    driver.InsufficientPrivilegeError,
    driver.InvalidSchemaNameError,
    driver.UndefinedColumnError,
)
"""Errors that time does not cure."""


class SharedPace(Unpicklable):
    """Rate that the clients of many processes and machines share, as a row in PostgreSQL. Give one to each client.

    ```python
    Pinwheel(api_secret, pace=SharedPace("postgresql://app@db/pinwheel", requests_per_s=50))
    ```

    Together they send no more than *requests_per_s*, whoever comes, goes or dies, and a client that is alone has all of
    it. What one of them is asked to wait for by a 429, or a 503 with `Retry-After`, all of them wait for; what they
    have taken of the rate before, a twentieth of a second each, is still sent. After that the rate is half of what it
    was, and rises again, by all of it in a minute.

    While the database is away, calls wait: in `background()` as long as it takes, others until their *timeout_s*.

    The row is in the table `pinwheel_rates`, which is made if there is none.
    """

    @without_locals
    def __init__(self, url: str, *, requests_per_s: float, name: str = "pinwheel", schema: str | None = None) -> None:
        """Describe the rate; nothing is connected before a client is opened.

        Args:
            url: URL of the database, such as `postgresql://user@host/database`.
            requests_per_s: Most requests begun per second by all together. What the client that was opened last says
                holds for all.
            name: Which rate: one for each workspace, or whatever else the API limits.
            schema: Schema of the table; None means the one that the role finds first.

        Raises:
            ConfigurationError: An argument cannot work.
        """
        if not (is_more_than(requests_per_s, 0) and isfinite(requests_per_s)):
            raise ConfigurationError(wrong("requests_per_s", "a number above 0", requests_per_s, float))
        for argument, text in (("name", name), ("schema", schema if schema is not None else "public")):
            given: Any = text
            if not isinstance(given, str) or not given or "\0" in given:
                raise ConfigurationError(wrong(argument, "text that is not empty", given))
        address, arguments, is_pooled = connect_arguments(url, owner="the shared pace")
        if is_pooled:
            arguments["statement_cache_size"] = 0
        self._address, self._arguments = address, {"timeout": ANSWER_S, **arguments}
        self._per_s = float(requests_per_s)
        self._name = name
        table = '"pinwheel_rates"' if schema is None else '"{}"."pinwheel_rates"'.format(schema.replace('"', '""'))
        self._sql = {key: text.format(table=table, rate=_RATE, is_news=_IS_NEWS) for key, text in _STATEMENTS.items()}
        self._table = table
        self._connection: Connection | None = None
        self._clock = Clock()
        self._granted: Callable[[], None] | None = None
        self._moments: deque[float] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_registered = False
        self._most_per_s = self._per_s
        self._using = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None
        self.interval_s: float = 1 / self._per_s
        """Seconds between two requests of all clients."""

    def __repr__(self) -> str:
        """Return the name of the rate, and what it was when this process last looked."""
        return f"<SharedPace {self._name} {1 / self.interval_s:g}/s>"

    @property
    def _slice(self) -> int:
        return max(1, round(SLICE_S / self.interval_s))

    async def open(self, clock: Clock, granted: Callable[[], None]) -> None:
        """Connect; a client does so when it is opened.

        Args:
            clock: The client's.
            granted: Called whenever there are new moments.

        Raises:
            ConfigurationError: Another client uses it, or the database refuses for a reason that time does not cure.
        """
        if self._granted is not None and self._loop is not None and not self._loop.is_closed():
            raise ConfigurationError("another client uses this pace: give each client a SharedPace of its own")
        self._loop, self._using, self._taking, self._tasks = asyncio.get_running_loop(), asyncio.Lock(), None, set()
        self._granted, self._clock, self._connection = granted, clock, None
        self._has_registered = False
        self._moments.clear()
        try:
            async with time_limit(ANSWER_S):
                await self._connected()
        except _PERMANENT as error:
            await self.close()
            raise _refused(error) from None
        except Exception as error:  # noqa: BLE001  # whatever it is: the first request tries again, and says so
            logger.info("the shared pace is not reached yet: %s", type(error).__name__)
        except BaseException:
            await self.close()
            raise

    async def migrate(self) -> bool:
        """Make the table, or bring one of an earlier version up to date; return whether there was anything to do.

        For clients whose role may not. No rate is set. Behind what others have locked it waits for two seconds at once,
        and tries again for a minute.

        Raises:
            ConfigurationError: The database cannot be reached, or refuses.
        """

        async def migrate() -> bool:
            connection = await connect(self._address, self._arguments)
            try:
                return await self._make_table(connection)
            finally:
                await connection.close(timeout=1)

        try:
            return await while_locked(migrate, self._clock)
        except Exception as error:  # noqa: BLE001  # whatever it is, its text may hold the URL
            raise _refused(error) from None

    async def close(self) -> None:
        """Disconnect; what was taken of the rate and not used is lost, a tenth of a second at most."""
        self._granted = None
        tasks, self._tasks, self._taking = self._tasks, set(), None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._moments.clear()
        await self._disconnect()

    def take(self, now: float) -> bool:
        """Take the moment that has come, if there is one, and see to it that there are others."""
        moments = self._moments
        while moments and moments[0] < now - SLACK_S:  # unused: made good later, they would make a burst
            moments.popleft()
        has_come = bool(moments) and moments[0] <= now
        if has_come:
            moments.popleft()
        if len(moments) <= self._slice // 2 and self._taking is None and self._granted is not None:
            self._taking = self._start(self._take())
        return has_come

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next moment; 0 while none is known."""
        return max(0.0, self._moments[0] - now) if self._moments else 0.0

    def push_back(self, pause_s: float, *, sent_s: float) -> None:
        """Let all clients wait, as far as they have taken nothing yet, and halve their rate.

        Args:
            pause_s: Seconds to wait.
            sent_s: Seconds since the request was sent that was answered so.
        """
        if self._granted is not None:
            self._start(self._push_back(pause_s, sent_s))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name="pinwheel shared pace")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _take(self) -> None:
        """Take a slice, however long that lasts."""
        try:
            backoff_s, has_warned, count = 0.01, False, self._slice
            while True:
                try:
                    async with self._using, time_limit(ANSWER_S):
                        connection = await self._connected()
                        row = await connection.fetchrow(self._sql["take"], self._name, float(count))
                        if row is None:  # somebody has removed it
                            await self._register(connection)
                            continue
                    break
                except Exception as error:  # noqa: BLE001  # whatever it is: without the row nothing may be sent
                    await self._disconnect()
                    if not has_warned:
                        has_warned = True
                        logger.warning(
                            "the shared pace cannot be reached, so calls wait: %s",
                            type(error).__name__,
                            extra={"event": "shared_pace_lost"},
                        )
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
            # From when the answer came, so that no moment is earlier here than by the clock of the database.
            begins = self._clock.monotonic() + row["begins_in_s"]
            self.interval_s, self._most_per_s = 1 / row["per_s"], row["most_per_s"]
            self._moments.extend([begins + number * self.interval_s for number in range(count)])
        finally:
            self._taking = None
        if self._granted is not None:
            self._granted()

    async def _push_back(self, pause_s: float, sent_s: float) -> None:
        try:
            async with self._using, time_limit(ANSWER_S):
                await (await self._connected()).execute(self._sql["push_back"], self._name, pause_s, sent_s)
        except Exception as error:  # noqa: BLE001  # this client waits all the same, and the others are told by the API
            logger.info("a pause could not be shared: %s", type(error).__name__)
            await self._disconnect()

    async def _connected(self) -> Connection:
        """Return the connection, made anew if it was lost."""
        if self._connection is None or self._connection.is_closed():
            connection = await connect(self._address, self._arguments)
            try:
                await self._make_table(connection)
                await self._register(connection)
                # A crash may take back the last moments that were given away, which is a burst of one slice.
                await connection.execute("SET synchronous_commit = off")
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    async def _make_table(self, connection: Connection) -> bool:
        """Make the table, or add to one of an earlier version; return whether there was anything to do."""
        # A role that may not make tables can use one that is there.
        if await connection.fetchval(_HAS_COLUMNS, self._table):
            return False
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{MIGRATION_WAIT_S}s'")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('pinwheel_rates'))")
            await connection.execute(self._sql["table"])
            await connection.execute(self._sql["columns"])
        return True

    async def _register(self, connection: Connection) -> None:
        """Say the rate once, and later only make a row that is gone: who reconnects may know an older rate."""
        statement, per_s = ("restore", self._most_per_s) if self._has_registered else ("register", self._per_s)
        await connection.execute(self._sql[statement], self._name, per_s)
        self._has_registered = True

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except Exception:  # noqa: BLE001  # it is broken
                connection.terminate()


def _refused(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        "the database of the shared pace refuses; is it there, and may the role use the table pinwheel_rates, and make"
        f" it, or add to one of an earlier version, as pinwheel-async migrate --pace does? {type(error).__name__}"
    )


_STATEMENTS = {
    "table": _TABLE,
    "columns": _COLUMNS,
    "register": _REGISTER,
    "restore": _RESTORE,
    "take": _TAKE,
    "push_back": _PUSH_BACK,
}
