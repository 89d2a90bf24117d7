"""The statements of a table."""

import sqlite3
from collections.abc import Iterator

import pytest

from pinwheel_async.sync._upsert import TableSql


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """A table of pets by owner."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE pets (owner, name, legs, PRIMARY KEY (owner, name))")
    yield connection
    connection.close()


SQL = TableSql("pets", ["owner", "name", "legs"], key=2, paramstyle="qmark")


def upsert(database: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    for text, values in SQL.upserts([value for row in rows for value in row]):
        database.execute(text, values)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 85, 256, 1_000])
def test_any_number_of_rows(database: sqlite3.Connection, count: int):
    """Any number of rows arrives, each once."""
    rows = [("ann", str(number), number) for number in range(count)]

    upsert(database, rows)

    assert database.execute("SELECT * FROM pets ORDER BY legs").fetchall() == rows


def test_few_texts():
    """The texts are few, whatever the number of rows, so that they can stay prepared."""
    texts = {text for count in range(600) for text, _ in SQL.upserts(["ann", "rex", 4] * count)}

    assert len(texts) == 9


def test_a_row_with_the_same_key_is_replaced(database: sqlite3.Connection):
    """A row takes the place of the one with its key."""
    upsert(database, [("ann", "rex", 4), ("bob", "rex", 4)])
    upsert(database, [("ann", "rex", 3)])

    assert database.execute("SELECT legs FROM pets ORDER BY owner").fetchall() == [(3,), (4,)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 100, 257, 600])
def test_deletes_hit_their_objects_only(database: sqlite3.Connection, count: int):
    """Deleting hits the named objects of the named account, and nothing else."""
    upsert(database, [(owner, str(number), 4) for owner in ("ann", "bob") for number in range(700)])

    for text, values in SQL.deletes("ann", [str(number) for number in range(count)]):
        database.execute(text, values)

    counts = dict(database.execute("SELECT owner, count(*) FROM pets GROUP BY owner").fetchall())
    assert counts == {"ann": 700 - count, "bob": 700}


@pytest.mark.parametrize("count", [0, 1, 3, 300])
def test_selects_find_who_has_rows(database: sqlite3.Connection, count: int):
    """Selecting finds those of the named accounts that have rows, each once."""
    upsert(database, [("ann", "rex", 4), ("ann", "tom", 4), ("bob", "kit", 4)])
    owners = ["ann", *(str(number) for number in range(count)), "bob"][: count + 1]

    found = [owner for text, values in SQL.selects(owners) for (owner,) in database.execute(text, values)]

    assert found == ["ann"]


def test_numbered_placeholders():
    """Where the driver counts parameters, each has its own number."""
    numbered = TableSql("pets", ["owner", "name", "legs"], key=2, paramstyle="numeric_dollar")

    (insert, _), (delete, _) = [*numbered.upserts(["ann", "rex", 4]), *numbered.deletes("ann", ["rex"])]

    assert "VALUES ($1, $2, $3) ON CONFLICT (owner, name) DO UPDATE SET legs = excluded.legs" in insert
    assert delete == "DELETE FROM pets WHERE owner = $1 AND name IN ($2)"
