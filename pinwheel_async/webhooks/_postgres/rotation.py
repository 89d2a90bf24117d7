"""Rotation of the key of a PostgreSQL inbox: everything is encrypted with the new one, in portions beside receivers."""

from typing import Final

from pinwheel_async._postgres.driver import Connection
from pinwheel_async.webhooks._inbox.administration import KeyRotation
from pinwheel_async.webhooks._inbox.encryption import saved_context
from pinwheel_async.webhooks._postgres.keys import DatabaseKeys
from pinwheel_async.webhooks._postgres.schema import qualified

PORTION_ROWS: Final = 500
"""Rows that one transaction encrypts anew."""

_BODIES: Final = """
SELECT event_id, key_number, body FROM pinwheel_inbox_deliveries
WHERE event_id > $1 AND key_number <> $2 AND body IS NOT NULL ORDER BY event_id LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_SET_BODIES: Final = """
UPDATE pinwheel_inbox_deliveries d SET key_number = $1, body = g.body
FROM unnest($2::text[], $3::bytea[]) AS g(event_id, body) WHERE d.event_id = g.event_id
"""
_VALUES: Final = """
SELECT name, key_number, value FROM pinwheel_inbox_values
WHERE name > $1 AND key_number <> $2 ORDER BY name LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_SET_VALUES: Final = """
UPDATE pinwheel_inbox_values v SET key_number = $1, value = g.value
FROM unnest($2::text[], $3::bytea[]) AS g(name, value) WHERE v.name = g.name
"""
_LEFT: Final = """
SELECT (SELECT count(*) FROM pinwheel_inbox_deliveries WHERE key_number <> $1 AND body IS NOT NULL)
    + (SELECT count(*) FROM pinwheel_inbox_values WHERE key_number <> $1)
"""


async def rotate_key(connection: Connection, schema: str | None, keys: DatabaseKeys) -> KeyRotation:
    """Encrypt with the new key whatever is not; once nothing is left, let the database forget the old ones.

    What is forgotten is no longer stored with: from then on a process that knows only an old key is refused. So the old
    ones are forgotten first, then what was being stored at that moment is waited for and encrypted, too; if something
    cannot be, the old ones are known again.
    """
    async with connection.transaction():
        await keys.introduce(connection, schema)
    encrypted = 0
    while count := await _encrypt_all(connection, schema, keys):  # again for what was locked, or was stored just now
        encrypted += count
    forget = "DELETE FROM pinwheel_inbox_keys WHERE number <> $1 RETURNING number, proof"
    async with connection.transaction():
        left: int = await connection.fetchval(qualified(_LEFT, schema), keys.number)
        if left:
            return KeyRotation(encrypted=encrypted, left=left)
        forgotten = await connection.fetch(qualified(forget, schema), keys.number)
    for table in ("pinwheel_inbox_deliveries", "pinwheel_inbox_values"):
        # Waits for whatever stored before the keys were forgotten, and holds nobody up: it ends at once.
        async with connection.transaction():
            await connection.execute(qualified(f"LOCK TABLE {table} IN SHARE MODE", schema))
    while count := await _encrypt_all(connection, schema, keys):
        encrypted += count
    again = "INSERT INTO pinwheel_inbox_keys (number, proof) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    async with connection.transaction():
        left = await connection.fetchval(qualified(_LEFT, schema), keys.number)
        if left:
            for row in forgotten:
                await connection.execute(qualified(again, schema), row["number"], row["proof"])
        await keys.load(connection, schema)
    return KeyRotation(encrypted=encrypted, left=left)


async def _encrypt_all(connection: Connection, schema: str | None, keys: DatabaseKeys) -> int:
    encrypted = 0
    for query, statement, is_body in ((_BODIES, _SET_BODIES, True), (_VALUES, _SET_VALUES, False)):
        after: str | None = ""
        while after is not None:
            async with connection.transaction():
                rows = await connection.fetch(qualified(query, schema), after, keys.number, PORTION_ROWS)
                anew: dict[str, bytes] = {}
                for name, number, content in rows:
                    context = name if is_body else saved_context(name)
                    text = keys.decrypt(number, content, context)
                    if text is not None:
                        anew[name] = keys.encrypt(text, context)
                await connection.execute(qualified(statement, schema), keys.number, list(anew), list(anew.values()))
            encrypted += len(anew)
            after = rows[-1][0] if len(rows) == PORTION_ROWS else None
    return encrypted
