"""What webhooks announced beside what is stored, counted over all accounts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from attrs import frozen
from sqlalchemy import Connection, select

from pinwheel_async.products import Product
from pinwheel_async.sync._completeness import LISTS, LedgerEntry, compare, settled_key
from pinwheel_async.sync._ledger import Announcement
from pinwheel_async.sync._sql_books import ANNOUNCEMENTS, VALUES
from pinwheel_async.sync._sql_ledger import announced_units, announcement_of
from pinwheel_async.sync._tables import STORED

_AT_ONCE = 300


@frozen(kw_only=True)
class Announced:
    """What was announced of one product."""

    accounts: int = 0
    """Accounts of which something was announced."""
    objects: int = 0
    """Objects that events named as new, those left out that later events named as gone."""
    absent: int = 0
    """Objects that were announced and are not there, and never were."""
    unfinished: int = 0
    """Accounts of which the newest event does not say that everything was fetched from the source."""


def announced(connection: Connection) -> dict[Product, Announced]:
    """Return what was announced, by product; a product of which nothing was announced is not there."""
    found: dict[Product, Announced] = {}
    for entry in _entries(connection):
        before = found.get(entry.product, Announced())
        found[entry.product] = Announced(
            accounts=before.accounts + 1,
            objects=before.objects + entry.announced,
            absent=before.absent + len(entry.missing),
            unfinished=before.unfinished + (not entry.final),
        )
    return found


def _entries(connection: Connection) -> Iterator[LedgerEntry]:
    """Compare some hundred lists at a time: any number of them takes the same memory."""
    after: tuple[str, Product] | None = None
    while units := announced_units(connection, after, _AT_ONCE):
        accounts = sorted({account_id for account_id, _ in units})
        announcements = _announcements(connection, accounts)
        held = {product: _held(connection, product, accounts) for product in LISTS}
        settled = _settled(connection, units)
        for unit in units:
            account_id, product = unit
            yield compare(account_id, product, announcements[unit], held[product][account_id], settled.get(unit))
        after = units[-1]


def _announcements(
    connection: Connection, accounts: Sequence[str]
) -> Mapping[tuple[str, Product], Sequence[Announcement]]:
    table = ANNOUNCEMENTS.c
    query = select(ANNOUNCEMENTS).where(table.account_id.in_(accounts)).order_by(table.announced_at, table.event_id)
    found: defaultdict[tuple[str, Product], list[Announcement]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        one = announcement_of(row)
        found[one.account_id, one.product].append(one)
    return found


def _held(connection: Connection, product: Product, accounts: Sequence[str]) -> Mapping[str, frozenset[str]]:
    table = STORED[product].table.c
    query = select(table.account_id, table.id).where(table.account_id.in_(accounts), table.deleted_at.is_(None))
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for account_id, rows in groupby(connection.execute(query.order_by(table.account_id)), lambda row: row[0]):
        found[account_id] = frozenset([row[1] for row in rows])
    return found


def _settled(connection: Connection, units: Sequence[tuple[str, Product]]) -> Mapping[tuple[str, Product], datetime]:
    """Return until when everything that was announced was found once, as the mirror notes it."""
    keys: dict[str, tuple[str, Product]] = {
        settled_key(account_id, product): (account_id, product) for account_id, product in units
    }
    rows = connection.execute(select(VALUES.c.key, VALUES.c.value).where(VALUES.c.key.in_(keys)))
    return {keys[key]: datetime.fromisoformat(value.decode()) for key, value in rows}
