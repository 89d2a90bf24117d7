"""Queries of a store beside its writing."""

from typing import Any

from sqlalchemy import create_engine, event

from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.migrate import prepare


def test_parameters_of_old_sqlite():
    """However many accounts are asked for, no query has more parameters than SQLite before 3.32 takes."""
    engine = create_engine("sqlite://")
    counts: list[int] = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(*arguments: Any) -> None:
        counts.append(len(arguments[3]))

    with engine.begin() as connection:
        prepare(connection)
        counts.clear()
        queries.checkpoints(connection, [f"account {number}" for number in range(2_500)])
    engine.dispose()

    assert counts
    assert max(counts) <= 999
