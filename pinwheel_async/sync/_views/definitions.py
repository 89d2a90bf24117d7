# ruff: noqa: S608  # the names are this library's own
"""Views that `SqlSink` makes beside its tables: the questions that are asked of every copy, answered once.

They hold nothing: what a table holds, they show, from the next transaction on, and what is purged is gone from them,
too. What is marked as deleted is not in them; data of accounts that are is. A view whose definition changes is replaced
when a sink is opened; its columns keep their order, and new ones come last, so that rights to it stay.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from attrs import frozen
from sqlalchemy import BigInteger, Column, Date, Dialect, MetaData, Table
from sqlalchemy.sql.schema import RETAIN_SCHEMA

from pinwheel_async.sync._sql.tables import METADATA, Tables

VIEWS = MetaData()
"""Every view, under the name that it has without a schema and a prefix; their keys are what tells rows apart."""

_MONTH = MappingProxyType(
    {
        "sqlite": "date(paystubs.pay_date, 'start of month')",
        "postgresql": "CAST(date_trunc('month', CAST(paystubs.pay_date AS timestamp)) AS date)",
    }
)
"""The first day of a month. PostgreSQL would make a moment of a bare date, in the time zone of the session."""


@frozen(eq=False)
class View:
    """A view."""

    table: Table
    """Name, columns and key, as if it were a table; `sql` in the info of a column is where it comes from."""
    source: str
    """What follows the columns in its definition; names of tables, and what databases say differently, in braces."""
    version: int = 1
    """Goes up with each change of the definition, comments included. Of several versions of this library that write
    into one copy, the newest one's stays."""
    day: str | None = None
    """The column of days by which it can be divided into months."""

    def definition(self, tables: Tables, dialect: Dialect) -> str:
        """Return its query as it is in a database."""
        quoted = dialect.identifier_preparer
        names = {table.name: quoted.format_table(tables[table]) for table in METADATA.sorted_tables}
        columns = ", ".join(f"{column.info['sql']} AS {column.name}" for column in self.table.columns)
        return f"SELECT {columns} FROM {self.source}".format(**names, month=_MONTH[dialect.name])


def _of(table: str, name: str, comment: str | None = None, *, key: bool = False, sql: str = "") -> Column[Any]:
    """Make a column that is one of a table, or made of it by *sql*."""
    column = METADATA.tables[table].c[name]
    info: dict[str, Any] = {"sql": sql or f"{table}.{name}", "table": table}
    if comment is None and "attribute" in column.info:
        info["attribute"] = column.info["attribute"]
    return Column(name, column.type, primary_key=key, comment=comment or column.comment, info=info)


_EMPLOYER = """coalesce(paystubs.employer_name, (
    SELECT employments.employer_name FROM {employments} AS employments
    WHERE employments.account_id = paystubs.account_id
    ORDER BY employments.updated_at IS NULL, employments.updated_at DESC, employments.id DESC LIMIT 1))"""
# Not joined: it is looked up by key, and only for paystubs that do not say it.

_SUM = "CAST(sum(paystubs.{name}) AS bigint)"
"""PostgreSQL would make a decimal number of it."""

_AMOUNTS = (
    "gross_pay_amount",
    "net_pay_amount",
    "check_amount",
    "total_taxes",
    "total_deductions",
    "total_reimbursements",
    "gross_pay_ytd",
    "net_pay_ytd",
)

PAYSTUB_DETAILS = View(
    Table(
        "paystub_details",
        VIEWS,
        _of("paystubs", "account_id", key=True),
        _of("paystubs", "id", key=True),
        _of("accounts", "end_user_id"),
        _of("accounts", "platform_id"),
        _of(
            "paystubs", "employer_name", "Employer as the paystub names it, else as the employment does", sql=_EMPLOYER
        ),
        *[_of("paystubs", name) for name in ("pay_date", "pay_period_start", "pay_period_end", "currency", *_AMOUNTS)],
        *[_of("paystubs", name) for name in ("created_at", "first_seen_at", "changed_at")],
        comment="One row for each paystub, with the end user and the employer",
    ),
    """{paystubs} AS paystubs LEFT JOIN {accounts} AS accounts ON accounts.id = paystubs.account_id
    WHERE paystubs.deleted_at IS NULL""",
    day="pay_date",
)

MONTHLY_INCOME = View(
    Table(
        "monthly_income",
        VIEWS,
        _of("paystubs", "account_id", key=True),
        Column(
            "month", Date, primary_key=True, comment="First day of the month of `pay_date`", info={"sql": "{month}"}
        ),
        _of("paystubs", "currency", key=True),
        _of("accounts", "end_user_id"),
        Column("paystubs", BigInteger, comment="Number of paystubs", info={"sql": "count(*)"}),
        *[
            _of(
                "paystubs",
                name,
                f"Sum of `{name}` of these paystubs, in minor units of `currency`, such as cents",
                sql=_SUM.format(name=name),
            )
            for name in ("gross_pay_amount", "net_pay_amount")
        ],
        comment="One row for each account, month and currency in which something was paid",
    ),
    """{paystubs} AS paystubs LEFT JOIN {accounts} AS accounts ON accounts.id = paystubs.account_id
    WHERE paystubs.deleted_at IS NULL AND paystubs.pay_date IS NOT NULL
    GROUP BY paystubs.account_id, accounts.end_user_id, {month}, paystubs.currency""",
)

LATEST_EMPLOYMENTS = View(
    Table(
        "latest_employments",
        VIEWS,
        _of("employments", "account_id", key=True),
        _of("employments", "id"),
        _of("accounts", "end_user_id"),
        _of("accounts", "platform_id"),
        *[_of("employments", name) for name in ("employer_name", "title", "status", "start_date", "termination_date")],
        *[_of("employments", name) for name in ("created_at", "updated_at", "first_seen_at", "changed_at")],
        comment="One row for each account with an employment: the one that changed last",
    ),
    """{employments} AS employments LEFT JOIN {accounts} AS accounts ON accounts.id = employments.account_id
    WHERE employments.id = (
        SELECT other.id FROM {employments} AS other WHERE other.account_id = employments.account_id
        ORDER BY other.updated_at IS NULL, other.updated_at DESC, other.id DESC LIMIT 1)""",
)

ALL_VIEWS: Mapping[str, View] = {
    view.table.name: view for view in (PAYSTUB_DETAILS, MONTHLY_INCOME, LATEST_EMPLOYMENTS)
}
"""Every view by its name in `VIEWS`."""


@cache
def named_views(tables: Tables) -> Mapping[View, Table]:
    """Return every view with the name that it has beside some tables."""
    metadata = MetaData()
    return {
        view: view.table.to_metadata(metadata, schema=tables.schema or RETAIN_SCHEMA, name=tables.prefix + name)
        for name, view in ALL_VIEWS.items()
    }
