"""Benchmark of rewriting: rows and bytes of PostgreSQL's log for one new paystub of each account.

A hundred accounts with twenty paystubs each are stored, and written again with one more. What is equal must cost
nothing: the target is that no row is updated or deleted. The log is that of the whole server, so nobody else should use
it meanwhile.

    pip install '.[bench]' && python benchmarks/bench_rewriting.py

PostgreSQL is the one of `PINWHEEL_ASYNC_POSTGRES_URL`, or of this machine.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from sqlalchemy import make_url

from pinwheel_async.models import Paystub
from pinwheel_async.sync import Batch, Checkpoint, SqlSink
from pinwheel_async.testing import make_paystub

ACCOUNTS, PAYSTUBS = 100, 20
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ADMIN = make_url(os.environ.get("PINWHEEL_ASYNC_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres"))
DATABASE = f"pinwheel_async_bench_{os.getpid()}"


def page(account: int, paystubs: Sequence[Paystub], minute: int) -> Batch[tuple[Paystub, ...]]:
    """Make the page of an account."""
    checkpoint = Checkpoint(begun_at=BEGAN + timedelta(minutes=minute), reached="complete", items=len(paystubs))
    return Batch(kind="paystubs", account_id=f"account {account}", items=tuple(paystubs), checkpoint=checkpoint)


async def written(connection: "asyncpg.Connection[asyncpg.Record]", pages: Sequence[Batch[tuple[Paystub, ...]]]) -> int:
    """Write pages, and return the bytes of log that they cost."""
    sink = SqlSink(ADMIN.set(database=DATABASE).render_as_string(hide_password=False))
    await sink.open()
    before: int = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    await asyncio.gather(*[sink.write(some) for some in pages])
    after: int = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    await sink.close(complete=True)
    return after - before


async def rows(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return how many rows were inserted, updated and deleted in tables of data so far."""
    counts = "sum(n_tup_ins) AS inserted, sum(n_tup_upd) AS updated, sum(n_tup_del) AS deleted"
    await asyncio.sleep(1)  # the server gathers its statistics once a second
    found = await connection.fetchrow(f"SELECT {counts} FROM pg_stat_user_tables WHERE relname LIKE 'paystub%'")
    return str(dict(found or {}))


async def main() -> None:
    """Write, write again with one more, and show both."""
    admin = await asyncpg.connect(ADMIN.render_as_string(hide_password=False))
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    connection = await asyncpg.connect(ADMIN.set(database=DATABASE).render_as_string(hide_password=False))
    paystubs = [make_paystub(number) for number in range(PAYSTUBS + 1)]
    accounts = range(ACCOUNTS)
    first = await written(connection, [page(account, paystubs[:-1], 0) for account in accounts])
    same = await written(connection, [page(account, paystubs[:-1], 1) for account in accounts])
    one_more = await written(connection, [page(account, paystubs, 2) for account in accounts])
    found = await rows(connection)
    await connection.close()
    await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    await admin.close()
    print(f"{ACCOUNTS * PAYSTUBS} paystubs for the first time: {first / 1e6:.2f} MB of log")
    print(f"the same again: {same / 1e6:.2f} MB")
    print(f"{ACCOUNTS} new ones among them: {one_more / 1e6:.2f} MB; rows over all three: {found}")


if __name__ == "__main__":
    asyncio.run(main())
