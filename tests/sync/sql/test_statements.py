"""The statements of a table."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from pinwheel_async.sync._sql.statements import PostgresTableSql, TableSql


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """A table of pets by owner."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE pets (owner, name, legs, PRIMARY KEY (owner, name))")
    yield connection
    connection.close()


SQL = TableSql("pets", ["owner", "name", "legs"], key=2)


class Noting:
    """A cursor that notes what it is asked to do."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def execute(self, operation: Any, parameters: Any = (), /) -> None:
        self.done.append((operation, parameters))

    def fetchall(self) -> list[Any]:
        return []


def upsert(database: sqlite3.Connection, rows: list[tuple[object, ...]], sql: TableSql = SQL) -> None:
    sql.upsert(database.cursor(), rows)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 85, 256, 1_000])
def test_any_number_of_rows(database: sqlite3.Connection, count: int):
    """Any number of rows arrives, each once."""
    rows = [("ann", str(number), number) for number in range(count)]

    upsert(database, rows)

    assert database.execute("SELECT * FROM pets ORDER BY legs").fetchall() == rows


def test_few_texts():
    """The texts are few, whatever the number of rows, so that they can stay prepared."""
    noting = Noting()

    for count in range(600):
        SQL.upsert(noting, [("ann", "rex", 4)] * count)

    assert len({text for text, _ in noting.done}) == 9


def test_a_row_with_the_same_key_is_replaced(database: sqlite3.Connection):
    """A row takes the place of the row with its key."""
    upsert(database, [("ann", "rex", 4), ("bob", "rex", 4)])
    upsert(database, [("ann", "rex", 3)])

    assert database.execute("SELECT legs FROM pets ORDER BY owner").fetchall() == [(3,), (4,)]


def test_columns_that_are_reset(database: sqlite3.Connection):
    """A column that is not written becomes null if it was named, and stays as it is otherwise."""
    upsert(database, [("ann", "rex", 4), ("ann", "tom", 4)])
    upsert(database, [("ann", "rex")], TableSql("pets", ["owner", "name"], 2, reset=["legs"]))
    upsert(database, [("ann", "tom")], TableSql("pets", ["owner", "name"], 2))

    assert database.execute("SELECT legs FROM pets ORDER BY name").fetchall() == [(None,), (4,)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 100, 257, 600])
def test_deletes_hit_their_objects_only(database: sqlite3.Connection, count: int):
    """Deleting hits the named objects of the named account, and nothing else."""
    upsert(database, [(owner, str(number), 4) for owner in ("ann", "bob") for number in range(700)])

    SQL.delete_objects(database.cursor(), [("ann", str(number)) for number in range(count)])

    counts = dict(database.execute("SELECT owner, count(*) FROM pets GROUP BY owner").fetchall())
    assert counts == {"ann": 700 - count, "bob": 700}


def test_deletes_hit_their_accounts_only(database: sqlite3.Connection):
    """Deleting by account hits the named accounts, and of them what the condition holds for."""
    upsert(database, [(owner, name, legs) for owner in ("ann", "bob") for name, legs in (("kit", 3), ("rex", 4))])

    TableSql("pets", ["owner", "name", "legs"], 2, only="legs = 4").delete_accounts(database.cursor(), ["ann"])

    found = database.execute("SELECT owner, name FROM pets ORDER BY owner, name").fetchall()
    assert found == [("ann", "kit"), ("bob", "kit"), ("bob", "rex")]


@pytest.mark.parametrize("count", [1, 3, 300])
def test_rows_of_accounts_and_objects(database: sqlite3.Connection, count: int):
    """Rows are found by account and by object, those of equal names under other accounts left out."""
    upsert(database, [("ann", "rex", 4), ("ann", "tom", 3), ("bob", "rex", 2)])
    others = [str(number) for number in range(count)]
    cursor = database.cursor()

    assert SQL.of_accounts(cursor, "name, legs", ["ann", *others]) == [("rex", 4), ("tom", 3)]
    assert SQL.of_objects(cursor, "legs", [("ann", "rex"), *(("bob", name) for name in others)]) == [(4,)]


def test_changes_hit_their_objects_only(database: sqlite3.Connection):
    """Setting a column hits the named objects."""
    upsert(database, [("ann", "rex", 4), ("ann", "tom", 4), ("bob", "rex", 4)])

    SQL.change_objects(database.cursor(), "legs", 3, [("ann", "rex")])

    assert database.execute("SELECT legs FROM pets ORDER BY owner, name").fetchall() == [(3,), (4,), (4,)]


def test_arrays():
    """PostgreSQL gets one array for each column, with its type, and one for each part of a key."""
    noting = Noting()
    sql = PostgresTableSql(
        "pets", ["owner", "name", "legs"], 2, types=["TEXT", "TEXT", "BIGINT"], paramstyle="numeric_dollar"
    )

    sql.upsert(noting, [("ann", "rex", 4), ("bob", "kit", 3)])
    sql.change_objects(noting, "legs", 3, [("ann", "rex")])

    (insert, columns), (update, parameters) = noting.done
    assert insert.endswith(
        "SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) AS given (owner, name, legs)"
        " WHERE NOT EXISTS (SELECT FROM pets AS there WHERE there.owner = given.owner AND there.name = given.name"
        " AND (there.legs) IS NOT DISTINCT FROM (given.legs))"
        " ON CONFLICT (owner, name) DO UPDATE SET legs = excluded.legs"
        " WHERE (pets.legs) IS DISTINCT FROM (excluded.legs)"
    )
    assert columns == [["ann", "bob"], ["rex", "kit"], [4, 3]]
    assert update.endswith("legs = $1 WHERE (owner, name) IN (SELECT * FROM unnest($2::text[], $3::text[]))")
    assert parameters == (3, ["ann"], ["rex"])


class Copying(Noting):
    """A cursor that can copy."""

    def copy(self, table: str, columns: Any, records: Any, /) -> None:
        self.done.append((table, [columns, *records]))


def test_copy():
    """Only rows that are expected to be new are copied, and only where the driver can."""
    sql = PostgresTableSql('"order"', ["owner", '"position"'], 2, types=["TEXT"] * 2, paramstyle="numeric_dollar")
    noting, copying = Noting(), Copying()

    sql.upsert(noting, [("ann", 0), ("bob", 1)], new=True)
    sql.upsert(copying, [("ann", 0), ("bob", 1)])
    sql.upsert(copying, [("ann", 0), ("bob", 1)], new=True)
    sql.upsert(copying, [], new=True)

    assert noting.done == copying.done[:1]
    assert "unnest" in noting.done[0][0]
    assert copying.done[1:] == [("order", [["owner", "position"], ("ann", 0), ("bob", 1)])]
