"""Rotation of the key of a SQLite inbox: everything is encrypted with the new one, in portions beside a receiver."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

from pinwheel_async.webhooks._inbox import sqlite_admin as admin, sqlite_schema as sql
from pinwheel_async.webhooks._inbox.administration import KeyRotation
from pinwheel_async.webhooks._inbox.encryption import saved_context
from pinwheel_async.webhooks._inbox.group_commit import GroupCommit
from pinwheel_async.webhooks._inbox.sqlite_store import DeliveryStore


async def rotate_key(group: GroupCommit, path: str) -> KeyRotation:
    """Encrypt with the new key whatever is not; once nothing is left, the file forgets the old ones."""
    number = await group.submit(_introduce)
    encrypted = await admin.in_portions(group, path, partial(_find_bodies, number=number), _encrypt_bodies)
    encrypted += await admin.in_portions(group, path, partial(_find_values, number=number), _encrypt_values)
    left, last = await asyncio.to_thread(admin.read, path, partial(_left, number=number))
    return KeyRotation(encrypted=encrypted, left=await group.submit(partial(_finish, left=left, last=last)))


def _introduce(store: DeliveryStore) -> int:
    store.keys.introduce(store.connection, hash_ids=False)
    return store.keys.number


def _find_bodies(connection: sqlite3.Connection, after: int | None, *, number: int) -> list[int]:
    query = "SELECT seq FROM body WHERE seq > ? AND key_number <> ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (-1 if after is None else after, number, admin.FOUND_ROWS))
    return [seq for (seq,) in rows]


def _find_values(connection: sqlite3.Connection, after: str | None, *, number: int) -> list[str]:
    query = "SELECT name FROM saved WHERE name > ? AND key_number <> ? ORDER BY name LIMIT ?"
    return [name for (name,) in connection.execute(query, (after or "", number, admin.FOUND_ROWS))]


def _encrypt_bodies(store: DeliveryStore, seqs: Sequence[int]) -> int:
    query = """
        SELECT seq, key_number, content, event_id FROM body CROSS JOIN delivery USING (seq) WHERE body.seq IN ({})
    """
    encrypted = 0
    for statement, part in sql.with_list(query, seqs):
        for seq, number, content, event_id in store.connection.execute(statement, part).fetchall():
            body = store.keys.decrypt(number, content, event_id) if number != store.keys.number else None
            if body is not None:
                row = (*store.keys.encrypt(body, event_id), seq)
                store.connection.execute("UPDATE body SET key_number = ?, content = ? WHERE seq = ?", row)
                encrypted += 1
    return encrypted


def _encrypt_values(store: DeliveryStore, names: Sequence[str]) -> int:
    encrypted = 0
    for statement, part in sql.with_list("SELECT name, key_number, value FROM saved WHERE name IN ({})", names):
        for name, number, content in store.connection.execute(statement, part).fetchall():
            context = saved_context(name)
            value = store.keys.decrypt(number, content, context) if number != store.keys.number else None
            if value is not None:
                row = (*store.keys.encrypt(value, context), name)
                store.connection.execute("UPDATE saved SET key_number = ?, value = ? WHERE name = ?", row)
                encrypted += 1
    return encrypted


def _left(connection: sqlite3.Connection, *, number: int) -> tuple[int, int]:
    """Return how much is not encrypted with the new key, and up to which row that was looked for."""
    query = """
        SELECT (SELECT count(*) FROM body WHERE key_number <> :number)
            + (SELECT count(*) FROM saved WHERE key_number <> :number),
            coalesce((SELECT max(seq) FROM body), 0)
    """
    left, last = connection.execute(query, {"number": number}).fetchone()
    return left, last


def _finish(store: DeliveryStore, *, left: int, last: int) -> int:
    """Let the file forget the old keys, if nothing is left; return how much is."""
    # Only what has come since is looked at, because the whole file takes too long while others wait for it.
    query = "SELECT count(*) FROM body WHERE seq > ? AND key_number <> ?"
    left += store.connection.execute(query, (last, store.keys.number)).fetchone()[0]
    id_key = store.keys.encrypted_id_key()
    if id_key is not None:
        store.connection.execute("UPDATE id_key SET key_number = ?, content = ?", id_key)
    if not left:
        store.connection.execute("DELETE FROM key_proof WHERE number <> ?", (store.keys.number,))
        store.keys.load(store.connection)
    return left
