"""Queries of `SqlSink` beside its writing: checkpoints, small values, announcements, and the removal of data.

Each runs within a transaction of the caller's.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any, cast

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    tuple_,
    type_coerce,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import NullType

from pinwheel_async.products import Product
from pinwheel_async.sync._scope import AGES, Scope
from pinwheel_async.sync._sink import (
    CLOCK_TOLERANCE,
    DAYS,
    AnnouncedList,
    Announcement,
    Checkpoint,
    FailedProduct,
    Kind,
    ids_in,
)
from pinwheel_async.sync._sql.database import lock
from pinwheel_async.sync._sql.tables import (
    ANNOUNCEMENTS,
    CHANGES,
    CHECKPOINTS,
    END_USERS,
    ERASURE_KEY,
    ERASURES,
    FAILURES,
    HISTORY_SINCE,
    METADATA,
    NO_ACCOUNT,
    PARTITIONS,
    SCOPE,
    STORED,
    VALUES,
    tables_of,
)
from pinwheel_async.sync._sql.types import Moment, reader

_AT_ONCE = 500
"""Ids or keys of a query: each is a parameter, of which SQLite before 3.32 takes 999, and asyncpg 32,767."""


def checkpoints(connection: Connection, account_ids: Sequence[str]) -> dict[tuple[str, Product], Checkpoint]:
    """Return the checkpoints of some accounts."""
    table = tables_of(connection)[CHECKPOINTS].c
    columns = (table.begun_at, table.reached, table.data_updated_at, table.from_day, table.cursor)
    read_moment = reader(table.begun_at, connection.dialect) or _as_it_is
    read_day = reader(table.from_day, connection.dialect) or _as_it_is
    # As the driver gives them, and all at once: a nightly run reads the checkpoints of all products of all accounts,
    # and hardly more. With its list as a parameter, SQLAlchemy does not look at each id.
    query = select(
        table.account_id,
        table.product,
        *[type_coerce(column, NullType()) for column in (*columns, table["items"], table.misses)],
    ).where(table.account_id.in_(bindparam("account_ids", expanding=True)), table.reached.is_not(None))
    found: dict[tuple[str, Product], Checkpoint] = {}
    for some in _portions(account_ids):
        rows: Any = connection.execute(query, {"account_ids": some}).fetchall()
        for account_id, product, begun_at, reached, updated_at, from_day, cursor, items, misses in rows:
            found[account_id, product] = Checkpoint(
                begun_at=read_moment(begun_at),
                reached=reached,
                data_updated_at=updated_at and read_moment(updated_at),
                from_day=from_day and read_day(from_day),
                cursor=cursor,
                items=items,
                misses=misses,
            )
    return found


def _as_it_is(value: Any) -> Any:
    return value


def time_of(connection: Connection) -> datetime:
    """Return the time of the database: of its server, or of this machine where it has none."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    found: datetime = connection.execute(select(func.clock_timestamp(type_=Moment()))).scalar_one()
    return found


def load_scope(connection: Connection) -> Scope:
    """Return whose data the copy holds, and what of it."""
    row = connection.execute(select(tables_of(connection)[SCOPE])).mappings().one_or_none()
    if row is None:
        return Scope()
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "id"}
    products = values.pop("products")
    return Scope(**values, products=None if products is None else tuple(products))


def save_scope(connection: Connection, scope: Scope) -> None:
    """Keep whose data the copy holds, and what of it; under the lock of everything."""
    table = tables_of(connection)[SCOPE]
    connection.execute(delete(table))
    connection.execute(insert(table).values(id=1, **attrs.asdict(scope, recurse=False)))


def read_again(connection: Connection, kind: str) -> int:
    """Let what was read of a product be read again by the next sync; return for how many accounts."""
    checkpoints = tables_of(connection)[CHECKPOINTS]
    is_read = (checkpoints.c.reached == "complete", checkpoints.c["items"] > 0)
    mine = update(checkpoints).where(checkpoints.c.product == kind, *is_read)
    return connection.execute(mine.values(reached="reading", cursor=None)).rowcount


def load(connection: Connection, key: str) -> bytes | None:
    """Return a small value."""
    table = tables_of(connection)[VALUES].c
    value: bytes | None = connection.scalar(select(table.value).where(table.key == key))
    return value


def save(connection: Connection, key: str, value: bytes | None) -> None:
    """Keep a small value; None removes it."""
    table = tables_of(connection)[VALUES]
    if value is None:
        connection.execute(delete(table).where(table.c.key == key))
    else:
        save_all(connection, {key: value})


def account_ids(connection: Connection, after: str, limit: int) -> list[str]:
    """Return ids of accounts that are stored and not marked as deleted, in order."""
    table = tables_of(connection).stored["accounts"].table.c
    query = select(table.id).where(table.id > after, table.deleted_at.is_(None)).order_by(table.id).limit(limit)
    return [*connection.scalars(query)]


def miss_accounts(
    connection: Connection,
    account_ids: Sequence[str],
    at: datetime,
    note_gone: Callable[[Connection, Sequence[str], datetime], object],
) -> int:
    """Note which accounts a whole list did not name; mark those that the one before did not name either.

    A list that began before one that is noted says nothing new. Nor does one about an account that was asked for since
    it began.

    Args:
        connection: In a transaction.
        account_ids: The accounts.
        at: When the list was begun.
        note_gone: Called with accounts and the time before they are marked.
    """
    lock(connection, {("accounts", "")})  # pages of accounts that are being written come before
    tables, now = tables_of(connection), time_of(connection)
    accounts, checkpoints = tables.stored["accounts"].table, tables[CHECKPOINTS]
    asked = checkpoints.c
    of_accounts = asked.product == "accounts"
    ahead = max(now, at) + CLOCK_TOLERANCE
    of_lists = (asked.account_id == NO_ACCOUNT, of_accounts, asked.begun_at <= ahead)
    before = connection.scalar(select(asked.begun_at).where(*of_lists))
    if before is not None and before >= at:
        return 0
    listed = _insert(connection, checkpoints).values(account_id=NO_ACCOUNT, product="accounts", begun_at=at)
    connection.execute(listed.on_conflict_do_update(index_elements=["account_id", "product"], set_={"begun_at": at}))
    missed = {*connection.scalars(select(asked.account_id).where(of_accounts, asked.missed_at.is_not(None)))}
    later: set[str] = set()
    for some in _portions(account_ids):
        is_later = (asked.begun_at >= at, asked.begun_at <= ahead)
        later.update(
            connection.scalars(select(asked.account_id).where(of_accounts, asked.account_id.in_(some), *is_later))
        )
    unnamed = {*account_ids} - later
    gone = sorted(missed & unnamed)
    for ids, missed_at in ((sorted(missed), None), (sorted(unnamed - missed), at)):
        for some in _portions(ids):
            mine = (of_accounts, asked.account_id.in_(some))
            if missed_at is not None and before is not None:  # the list before did name them
                connection.execute(update(checkpoints).where(*mine, asked.begun_at < before).values(begun_at=before))
            connection.execute(update(checkpoints).where(*mine).values(missed_at=missed_at))
    for some in _portions(gone):
        note_gone(connection, some, now)
        marked = {"deleted_at": at, "changed_at": now}
        connection.execute(update(accounts).where(accounts.c.id.in_(some)).values(marked))
    return len(gone)


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def failures(connection: Connection) -> list[FailedProduct]:
    """Return what failed and was not read since, by account and product."""
    table = tables_of(connection)[FAILURES]
    found = connection.execute(select(table).order_by(table.c.account_id, table.c.product))
    return [FailedProduct(**cast("Any", row)) for row in found.mappings()]


def add_failures(connection: Connection, failures: Sequence[FailedProduct]) -> None:
    """Keep failures; attempts at the same add up."""
    lock(connection, {("failures", "")})  # or an account could be erased after it was looked up
    table = tables_of(connection)[FAILURES]
    into = _insert(connection, table)
    changes = {name: into.excluded[name] for name in ("error", "place", "last_at")}
    changes["attempts"] = table.c.attempts + into.excluded.attempts
    add = into.on_conflict_do_update(index_elements=["account_id", "product"], set_=changes)
    erased = erased_among(connection, [failure.account_id for failure in failures])
    kept = [attrs.asdict(failure) for failure in failures if failure.account_id not in erased]
    if kept:
        connection.execute(add, kept)


def remove_failures(connection: Connection, units: Sequence[tuple[str, Kind]]) -> None:
    """Forget the failures of some accounts and products."""
    table = tables_of(connection)[FAILURES]
    mine = (table.c.account_id == bindparam("account"), table.c.product == bindparam("kind"))
    connection.execute(delete(table).where(*mine), [{"account": account, "kind": kind} for account, kind in units])


def announce(connection: Connection, announcement: Announcement) -> None:
    """Keep an announcement, unless it is there, or its account was erased."""
    lock(connection, {("announcements", announcement.account_id)})  # or it could be erased after it was looked up
    if erased_among(connection, [announcement.account_id]):
        return
    into = _insert(connection, tables_of(connection)[ANNOUNCEMENTS]).values(**attrs.asdict(announcement, recurse=False))
    connection.execute(into.on_conflict_do_nothing())


def announced(connection: Connection, account_id: str, product: Product) -> list[Announcement]:
    """Return what was announced of a product of an account, in order."""
    table = tables_of(connection)[ANNOUNCEMENTS]
    query = select(table).where(table.c.account_id == account_id, table.c.product == product)
    found = connection.execute(query.order_by(table.c.announced_at, table.c.event_id))
    return [announcement_of(row) for row in found.mappings()]


def announced_units(connection: Connection, after: tuple[str, Product] | None, limit: int) -> list[tuple[str, Product]]:
    """Return accounts and products with announcements, in order."""
    table = tables_of(connection)[ANNOUNCEMENTS].c
    unit = (table.account_id, table.product)
    query = select(*unit).distinct().order_by(*unit).limit(limit)
    if after is not None:
        query = query.where(tuple_(*unit) > after)
    return [(account_id, cast("Product", product)) for account_id, product in connection.execute(query)]


def announced_lists(connection: Connection, after: tuple[str, Product] | None, limit: int) -> list[AnnouncedList]:
    """Return lists with announcements in order: a few queries for all of them, since each costs a round trip."""
    units = announced_units(connection, after, limit)
    accounts = sorted({account_id for account_id, _ in units})
    announcements = _announcements(connection, accounts)
    # After the announcements, or what is announced and stored meanwhile would look missing.
    products: dict[Product, None] = {product: None for _, product in units}
    held = {product: _held(connection, product, accounts) for product in products}
    return [
        AnnouncedList(
            account_id=account_id,
            product=product,
            announcements=announcements[account_id, product],
            held=held[product].get(account_id, frozenset()),
        )
        for account_id, product in units
    ]


def remove_announcements(connection: Connection, event_ids: Sequence[str]) -> None:
    """Forget some announcements."""
    table = tables_of(connection)[ANNOUNCEMENTS]
    for some in _portions(event_ids):
        connection.execute(delete(table).where(table.c.event_id.in_(some)))


def _announcements(
    connection: Connection, accounts: Sequence[str]
) -> Mapping[tuple[str, Product], Sequence[Announcement]]:
    announcements = tables_of(connection)[ANNOUNCEMENTS]
    table = announcements.c
    query = select(announcements).where(table.account_id.in_(accounts)).order_by(table.announced_at, table.event_id)
    found: defaultdict[tuple[str, Product], list[Announcement]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        announcement = announcement_of(row)
        found[announcement.account_id, announcement.product].append(announcement)
    return found


def _held(connection: Connection, product: Product, accounts: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return the ids of the objects of some accounts; a row for each account, since each row costs 3 µs here."""
    table = tables_of(connection).stored[product].table.c
    is_postgres = connection.dialect.name == "postgresql"
    ids = func.array_agg(table.id) if is_postgres else func.json_group_array(table.id)
    query = select(table.account_id, type_coerce(ids, NullType())).where(table.account_id.in_(accounts))
    if "deleted_at" in table:
        query = query.where(table.deleted_at.is_(None))
    rows: Any = connection.execute(query.group_by(table.account_id))
    return {account_id: frozenset(found if is_postgres else json.loads(found)) for account_id, found in rows}


def load_all(connection: Connection, keys: Sequence[str]) -> dict[str, bytes]:
    """Return small values by key."""
    found: dict[str, bytes] = {}
    values = tables_of(connection)[VALUES]
    for some in _portions(keys):
        wanted = values.c.key.in_(some)
        found |= {row.key: row.value for row in connection.execute(select(values).where(wanted))}
    return found


def save_all(connection: Connection, values: Mapping[str, bytes]) -> None:
    """Keep small values, but those that are called after accounts that were erased."""
    lock(connection, {("values", "")})  # or an account could be erased after it was looked up
    erased = erased_among(connection, [*{account_id for key in values for account_id in ids_in(key)}])
    kept = [{"key": key, "value": value} for key, value in values.items() if erased.isdisjoint(ids_in(key))]
    into = _insert(connection, tables_of(connection)[VALUES])
    save = into.on_conflict_do_update(index_elements=["key"], set_={"value": into.excluded.value})
    if kept:
        connection.execute(save, kept)


def held(connection: Connection, account_id: str, product: Product) -> frozenset[str]:
    """Return the ids of the objects that are stored, deleted ones left out."""
    table = tables_of(connection).stored[product].table.c
    query = select(table.id).where(table.account_id == account_id)
    if "deleted_at" in table:
        query = query.where(table.deleted_at.is_(None))
    return frozenset(connection.scalars(query))


def announcement_of(row: Mapping[Any, Any]) -> Announcement:
    """Return the announcement of a row."""
    fields: dict[str, Any] = {**row, "added": tuple(row["added"]), "deleted": tuple(row["deleted"])}
    return Announcement(**fields)


def set_history(connection: Connection, *, kept: bool) -> None:
    """Note since when a history is kept, or drop it: one with a gap would say what is not true."""
    if kept == (load(connection, HISTORY_SINCE) is not None):
        return
    lock(connection)
    if kept:
        save(connection, HISTORY_SINCE, time_of(connection).isoformat().encode())
    else:
        save(connection, HISTORY_SINCE, None)
        connection.execute(delete(tables_of(connection)[CHANGES]))


def erasure_key(connection: Connection) -> bytes:
    """Return the key under which the ids of erased accounts are hashed."""
    return load(connection, ERASURE_KEY) or b""


def erasure_hash(key: bytes, account_id: str) -> str:
    """Return what stands for an erased account: who has the copy cannot read an id from it, and can look one up."""
    return blake2b(account_id.encode(errors="surrogatepass"), key=key, digest_size=16).hexdigest()


def erased_among(connection: Connection, account_ids: Sequence[str]) -> frozenset[str]:
    """Return which of some accounts were erased."""
    table = tables_of(connection)[ERASURES].c
    if connection.scalar(select(table.hash).limit(1)) is None:  # as in most copies: no id has to be hashed
        return frozenset()
    key = erasure_key(connection)
    ids = {erasure_hash(key, account_id): account_id for account_id in account_ids}
    found: list[str] = []
    for some in _portions([*ids]):
        found += connection.scalars(select(table.hash).where(table.hash.in_(some)))
    return frozenset([ids[number] for number in found])


def remember_erasure(connection: Connection, account_id: str) -> None:
    """Note that an account is erased, so that nothing of it is stored again."""
    lock(connection)  # everything: pages that are being written come before, and are removed with the rest
    into = _insert(connection, tables_of(connection)[ERASURES])
    into = into.values(hash=erasure_hash(erasure_key(connection), account_id), erased_at=time_of(connection))
    connection.execute(into.on_conflict_do_nothing())


def lift_erasure(connection: Connection, account_id: str) -> bool:
    """Forget that an account was erased; return whether it was."""
    table = tables_of(connection)[ERASURES]
    mine = table.c.hash == erasure_hash(erasure_key(connection), account_id)
    return connection.execute(delete(table).where(mine)).rowcount > 0


def overwrite_removed(connection: Connection) -> None:
    """Let SQLite overwrite what this connection removes from now on; connections of the sink's own always do."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def purge(connection: Connection, account_id: str) -> dict[str, int]:
    """Remove every row of an account, and note that it is erased; return how many there were, by table."""
    overwrite_removed(connection)
    remember_erasure(connection, account_id)
    removed = {
        name: connection.execute(delete(table).where(mine)).rowcount
        for name, table, mine in _rows_of(connection, account_id)
    }
    return {**removed, PARTITIONS.name: _purge_partitions(connection, account_id)}


def remains(connection: Connection, account_id: str) -> dict[str, int]:
    """Count the rows of an account, by table."""
    found = [*_rows_of(connection, account_id), (PARTITIONS.name, *_partitions_of(connection, account_id))]
    return {
        name: connection.scalar(select(func.count()).select_from(table).where(mine)) or 0 for name, table, mine in found
    }


def purge_before(connection: Connection, day: date) -> dict[str, int]:
    """Remove paystubs, shifts and tax forms from before a day for good; return how many rows there were, by table."""
    overwrite_removed(connection)
    lock(connection)
    scope = load_scope(connection)
    scope = attrs.evolve(scope, purged_before=max(day, scope.purged_before or day))
    save_scope(connection, scope)
    checkpoints = tables_of(connection)[CHECKPOINTS]
    for product in DAYS:
        # Their readings are of fewer days now: if older ones are wanted again, they are due.
        first = scope.first_day(cast("Product", product))
        shorter = or_(checkpoints.c.from_day.is_(None), checkpoints.c.from_day < first)
        mine = (checkpoints.c.product == product, checkpoints.c.reached.is_not(None), shorter)
        connection.execute(update(checkpoints).where(*mine).values(from_day=first))
    tables = tables_of(connection)
    removed: dict[str, int] = {}
    for kind, age in AGES.items():
        table = tables.stored[kind].table
        old = table.c[age] < (day.year if kind == "tax_forms" else day)
        keys_of_old = select(table.c.account_id, table.c.id).where(old)
        images = tables[CHANGES]
        is_of_old = tuple_(images.c.account_id, images.c.id).in_(keys_of_old)
        value = images.c.image["row", age]
        is_old = value.as_integer() < day.year if kind == "tax_forms" else value.as_string() < day.isoformat()
        gone = connection.execute(delete(images).where(images.c.kind == kind, or_(is_old, is_of_old))).rowcount
        removed[CHANGES.name] = removed.get(CHANGES.name, 0) + gone
        for part in STORED[kind].parts:
            lines = tables[part.table]
            account, owner, _ = lines.primary_key
            of_old = tuple_(account, owner).in_(keys_of_old)
            removed[part.table.name] = connection.execute(delete(lines).where(of_old)).rowcount
        removed[STORED[kind].table.name] = connection.execute(delete(table).where(old)).rowcount
    return removed


def accounts_of(connection: Connection, end_user_id: str) -> list[str]:
    """Return the accounts that are, or ever were, of an end user."""
    tables = tables_of(connection)
    now, ever = tables.stored["accounts"].table.c, tables[END_USERS].c
    of_now = select(now.id).where(now.end_user_id == end_user_id)
    of_then = select(ever.account_id).where(ever.end_user_id == end_user_id)
    return sorted(connection.scalars(union(of_now, of_then)))


def _insert(connection: Connection, table: Any) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _rows_of(connection: Connection, account_id: str) -> Iterator[tuple[str, Table, ColumnElement[Any]]]:
    """Yield every table that holds something of accounts, with its name and the condition for rows of this account."""
    tables = tables_of(connection)
    for original in METADATA.sorted_tables:
        table = tables[original]
        if original.name == "accounts":
            yield original.name, table, table.c.id == account_id
        elif "account_id" in table.c:
            yield original.name, table, table.c.account_id == account_id
        elif original is VALUES:
            yield original.name, table, table.c.key.contains(f":{account_id}:", autoescape=True)


def _partitions_of(connection: Connection, account_id: str) -> tuple[Table, ColumnElement[bool]]:
    """Return the partitions of runs, and the condition for those that name an account."""
    table = tables_of(connection)[PARTITIONS]
    if connection.dialect.name == "sqlite":  # a fleet needs PostgreSQL
        return table, false()
    named = [type_coerce(table.c[name], postgresql.JSONB).has_key(account_id) for name in ("units", "failures")]
    return table, or_(*named)


def _purge_partitions(connection: Connection, account_id: str) -> int:
    """Remove an account from the partitions of runs; return how many named it."""
    table, mine = _partitions_of(connection, account_id)
    if connection.dialect.name == "sqlite":
        return 0
    without = {
        name: type_coerce(table.c[name], postgresql.JSONB).delete_path(postgresql.array([account_id]))
        for name in ("units", "failures")
    }
    return connection.execute(update(table).where(mine).values(without)).rowcount
