"""Keys of one PostgreSQL inbox: which of them encrypted what.

The database knows its keys by number, each by an empty text that it encrypted, and says of all that is encrypted which
one did it. So several may be in use while one takes the place of another.
"""

from collections.abc import Sequence

from pinwheel_async._postgres.driver import Connection
from pinwheel_async._privacy import Unpicklable
from pinwheel_async.webhooks._inbox.encryption import BodyCipher, no_key, wrong_key
from pinwheel_async.webhooks._postgres.schema import qualified

IN_CLEAR = 0
"""The number that stands for no key."""

_PROOF = ""


class DatabaseKeys(Unpicklable):
    """The keys that this process has been given, by their numbers in the database.

    Attributes:
        number: The number of the key that encrypts.
    """

    def __init__(self, ciphers: Sequence[BodyCipher]) -> None:
        """Take the keys; the first one encrypts, the others only decrypt."""
        self.number = IN_CLEAR
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
        return len(self._by_number) == len(rows)

    async def introduce(self, connection: Connection, schema: str | None) -> None:
        """Find the keys, and let the one that encrypts become known if it is not.

        Raises:
            InboxError: Something in the database is encrypted with a key that was not given.
        """
        await self.find(connection, schema)
        if not self._ciphers or self.number != IN_CLEAR:
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
        await self.find(connection, schema)

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
