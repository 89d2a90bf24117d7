"""Keys of one PostgreSQL inbox: which of them encrypted what.

The database knows its keys by number, each by an empty text that it encrypted, and says of all that is encrypted which
one did it. So several may be in use while one takes the place of another.
"""

from collections.abc import Sequence

from pinwheel_async._postgres.driver import Connection
from pinwheel_async._privacy import Unpicklable
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.encryption import (
    BodyCipher,
    IdHashes,
    new_id_key,
    no_key,
    saved_context,
    wrong_key,
)
from pinwheel_async.webhooks._postgres.schema import qualified

IN_CLEAR = 0
"""The number that stands for no key."""

_PROOF = ""

_ID_KEY = "inbox:id key"
"""Name of the saved value that is the key of the hashes. Where there is one, all other names are hashes."""


class DatabaseKeys(Unpicklable):
    """The keys that this process has been given, by their numbers in the database.

    Attributes:
        number: The number of the key that encrypts.
        hashes: What stands for ids in the database.
    """

    def __init__(self, ciphers: Sequence[BodyCipher]) -> None:
        """Take the keys; the first one encrypts, the others only decrypt."""
        self.number = IN_CLEAR
        self.hashes = IdHashes()
        self._ciphers = tuple(ciphers)
        self._by_number: dict[int, BodyCipher] = {}

    async def find(self, connection: Connection, schema: str | None) -> None:
        """Find the keys in the database.

        Raises:
            InboxError: Something in it is encrypted with a key that was not given.
        """
        if not await self.load(connection, schema):
            raise wrong_key() if self._ciphers else no_key()

    async def load(self, connection: Connection, schema: str | None) -> bool:
        """Read the numbers of the keys again, since another process may have changed them; return whether all are ours.

        Not in the middle of a transaction that encrypts.
        """
        rows = await connection.fetch(qualified("SELECT number, proof FROM pinwheel_inbox_keys", schema))
        self._by_number, self.number = {}, IN_CLEAR
        for number, proof in rows:
            cipher = next((cipher for cipher in self._ciphers if cipher.decrypt(proof, _PROOF) is not None), None)
            if cipher is not None:
                self._by_number[number] = cipher
                if cipher is self._ciphers[0]:
                    self.number = number
        query = "SELECT key_number, value FROM pinwheel_inbox_values WHERE name = $1"
        row = await connection.fetchrow(qualified(query, schema), _ID_KEY)
        id_key = None
        if row is not None and row["key_number"] in self._by_number:
            id_key = self.decrypt(row["key_number"], row["value"], saved_context(_ID_KEY))
            if id_key is None:
                raise InboxError("the key of the ids in the inbox is damaged", reason="Damaged")
        self.hashes = IdHashes(id_key)
        return len(self._by_number) == len(rows)

    async def introduce(self, connection: Connection, schema: str | None, *, hash_ids: bool = False) -> None:
        """Find the keys, and let the one that encrypts become known if it is not.

        Raises:
            InboxError: Something in the database is encrypted with a key that was not given, or ids are to be hashed
                and it holds some in the clear.
        """
        await self.find(connection, schema)
        if not self._ciphers or (self.number != IN_CLEAR and (self.hashes.are_used or not hash_ids)):
            return
        async with connection.transaction():
            # Nobody else adds a key meanwhile; what stores and reads does not mind.
            lock = "LOCK TABLE pinwheel_inbox_keys IN SHARE ROW EXCLUSIVE MODE"
            await connection.execute(qualified(lock, schema))
            await self.find(connection, schema)
            if self.number == IN_CLEAR:
                statement = """
                    INSERT INTO pinwheel_inbox_keys (number, proof)
                    SELECT coalesce(max(number), 0) + 1, $1 FROM pinwheel_inbox_keys
                """
                await connection.execute(qualified(statement, schema), self._ciphers[0].encrypt(b"", _PROOF))
                await self.load(connection, schema)
            if hash_ids and not self.hashes.are_used:
                await self._begin_to_hash(connection, schema)
        await self.find(connection, schema)

    async def _begin_to_hash(self, connection: Connection, schema: str | None) -> None:
        """Make the key of the hashes, in a transaction that keeps others from adding keys.

        It is a saved value, so that it is encrypted, rotated and checked as those are.

        Raises:
            InboxError: There are ids in the clear.
        """
        lock = "LOCK TABLE pinwheel_inbox_deliveries, pinwheel_inbox_values IN SHARE ROW EXCLUSIVE MODE"
        await connection.execute(qualified(lock, schema))
        query = "SELECT 1 FROM pinwheel_inbox_deliveries UNION ALL SELECT 1 FROM pinwheel_inbox_values LIMIT 1"
        if await connection.fetchval(qualified(query, schema)):
            raise InboxError("the inbox holds ids in the clear: begin a new schema to hash them", reason="IdsInClear")
        # Nothing is encrypted yet. With another number whoever is open already is refused to store, looks again, and
        # hashes, too.
        renumber = "UPDATE pinwheel_inbox_keys SET number = number + (SELECT max(number) FROM pinwheel_inbox_keys)"
        await connection.execute(qualified(renumber, schema))
        await self.load(connection, schema)
        statement = "INSERT INTO pinwheel_inbox_values (name, key_number, value) VALUES ($1, $2, $3)"
        encrypted = self.encrypt(new_id_key(), saved_context(_ID_KEY))
        await connection.execute(qualified(statement, schema), _ID_KEY, self.number, encrypted)

    def encrypt(self, content: bytes, context: str) -> bytes:
        """Encrypt for a context, which has to be the same when it is decrypted."""
        return content if self.number == IN_CLEAR else self._ciphers[0].encrypt(content, context)

    def decrypt(self, number: int, content: bytes, context: str) -> bytes | None:
        """Decrypt something; None if it is damaged.

        Raises:
            InboxError: Its key was not given.
        """
        if number == IN_CLEAR:
            return content
        self.require(number)
        return self._by_number[number].decrypt(content, context)

    def knows(self, number: int) -> bool:
        """Whether a key is at hand."""
        return number == IN_CLEAR or number in self._by_number

    def require(self, number: int) -> None:
        """Check that a key is at hand.

        Raises:
            InboxError: It was not given.
        """
        if not self.knows(number):
            raise wrong_key() if self._ciphers else no_key()
