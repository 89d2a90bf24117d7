"""Removes what is not to be kept: everything of an account, or what is older than a day."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, tuple_

from pinwheel_async.sync._sql_database import lock
from pinwheel_async.sync._tables import METADATA, STORED


def purge(connection: Connection, account_id: str) -> dict[str, int]:
    """Remove every row of an account; return how many there were, by table."""
    lock(connection)
    return {table.name: connection.execute(delete(table).where(mine)).rowcount for table, mine in _rows_of(account_id)}


def remains(connection: Connection, account_id: str) -> dict[str, int]:
    """Count the rows of an account, by table."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(mine)) or 0
        for table, mine in _rows_of(account_id)
    }


def purge_before(connection: Connection, day: date) -> dict[str, int]:
    """Remove paystubs, shifts and tax forms from before a day; return how many rows there were, by table."""
    lock(connection)
    removed: dict[str, int] = {}
    for stored, old in (
        (STORED["paystubs"], STORED["paystubs"].table.c.pay_date < day),
        (STORED["shifts"], STORED["shifts"].table.c.start_date < day),
        (STORED["tax_forms"], STORED["tax_forms"].table.c.year < day.year),
    ):
        table = stored.table
        for part in stored.parts:
            account, owner, _ = part.table.primary_key
            of_old = tuple_(account, owner).in_(select(table.c.account_id, table.c.id).where(old))
            removed[part.table.name] = connection.execute(delete(part.table).where(of_old)).rowcount
        removed[table.name] = connection.execute(delete(table).where(old)).rowcount
    return removed


def accounts_of(connection: Connection, end_user_id: str) -> list[str]:
    """Return the accounts of an end user."""
    table = STORED["accounts"].table.c
    return [*connection.scalars(select(table.id).where(table.end_user_id == end_user_id).order_by(table.id))]


def _rows_of(account_id: str) -> Iterator[tuple[Table, ColumnElement[Any]]]:
    """Return every table that holds something of accounts, and what holds for the rows of one of them."""
    accounts = STORED["accounts"].table
    for table in METADATA.sorted_tables:
        if table is accounts:
            yield table, accounts.c.id == account_id
        elif "account_id" in table.c:
            yield table, table.c.account_id == account_id
