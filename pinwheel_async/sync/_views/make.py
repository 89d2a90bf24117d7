"""Making of views: within the transaction that makes the tables, and under its lock."""

from collections.abc import Iterable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pinwheel_async.sync._sql.tables import tables_of
from pinwheel_async.sync._views.definitions import View, named_views


def drop_views(connection: Connection, views: Iterable[View]) -> None:
    """Drop views, so that the tables under them can be changed."""
    for view in views:
        connection.exec_driver_sql(f"DROP VIEW {_name(connection, view)}")


def make_views(connection: Connection, views: Iterable[View], replaced: Iterable[View]) -> None:
    """Make views.

    Args:
        connection: In a transaction; the tables are there.
        views: What to make.
        replaced: Those of them that are there with an earlier definition.
    """
    earlier = {*replaced}
    for view in views:
        name, query = _name(connection, view), view.definition(tables_of(connection), connection.dialect)
        if connection.dialect.name == "sqlite":
            drop_views(connection, earlier & {view})
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
            continue
        try:
            # Who was granted the right to read the view keeps it, and views of the user's on top of it stay.
            with connection.begin_nested():
                connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {name} AS {query}")
        except DBAPIError:
            if view not in earlier:
                raise
            drop_views(connection, [view])
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
        _comment(connection, view, name)


def _comment(connection: Connection, view: View, name: str) -> None:
    columns = [(f"COLUMN {name}.{column.name}", column.comment) for column in view.table.columns]
    for what, comment in ((f"VIEW {name}", view.table.comment), *columns):
        if comment:
            quoted = comment.replace("'", "''")
            connection.exec_driver_sql(f"COMMENT ON {what} IS '{quoted}'")


def _name(connection: Connection, view: View) -> str:
    return connection.dialect.identifier_preparer.format_table(named_views(tables_of(connection))[view])
