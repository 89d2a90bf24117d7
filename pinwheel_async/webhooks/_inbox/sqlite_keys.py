"""Keys of one SQLite inbox: which of them encrypted what, and the keyed hashes that stand for ids.

The file knows its keys by number, each by an empty text that it encrypted, and says of all that is encrypted which one
did it. So several may be in use while one takes the place of another.
"""

import sqlite3
from collections.abc import Sequence

from pinwheel_async._privacy import Unpicklable
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._inbox.encryption import (
    ID_KEY_CONTEXT,
    BodyCipher,
    IdHashes,
    new_id_key,
    no_key,
    replaced_key,
    wrong_key,
)

IN_CLEAR = 0
"""The number that stands for no key."""

_PROOF = ""


class FileKeys(Unpicklable):
    """The keys that this process has been given, by their numbers in the file.

    Attributes:
        number: The number of the key that encrypts.
        are_introduced: Whether the file knows them.
        hashes: What stands for ids in the file.
    """

    def __init__(self, ciphers: Sequence[BodyCipher]) -> None:
        """Take the keys; the first one encrypts, the others only decrypt."""
        self.number = IN_CLEAR
        self._ciphers = tuple(ciphers)
        self._by_number: dict[int, BodyCipher] = {}
        self._id_key: bytes | None = None
        self.hashes = IdHashes()
        self.are_introduced: bool = False

    def introduce(self, connection: sqlite3.Connection, *, hash_ids: bool) -> None:
        """Find the keys in a file that is being opened; one that it does not know yet becomes its own.

        Raises:
            InboxError: Something in it is encrypted with a key that was not given, or ids are to be hashed and it holds
                some in the clear.
        """
        self.find(connection)
        if self._ciphers and self.number == IN_CLEAR:
            statement = "INSERT INTO key_proof (proof) VALUES (?)"
            connection.execute(statement, (self._ciphers[0].encrypt(b"", _PROOF),))
            self._read(connection)
        if hash_ids and self._id_key is None:
            if connection.execute("SELECT 1 FROM delivery UNION ALL SELECT 1 FROM saved LIMIT 1").fetchone():
                raise InboxError("the inbox holds ids in the clear: begin a new file to hash them", reason="IdsInClear")
            encrypted = self.encrypt(new_id_key(), ID_KEY_CONTEXT)
            connection.execute("INSERT INTO id_key VALUES (?, ?)", encrypted)
            self._read(connection)
        self.are_introduced = True

    def find(self, connection: sqlite3.Connection) -> None:
        """Find the keys in a file, and change nothing.

        Raises:
            InboxError: Something in it is encrypted with a key that was not given.
        """
        proofs = connection.execute("SELECT proof FROM key_proof").fetchall()
        if proofs and not self._ciphers:
            raise no_key()
        if any(self._cipher_of(proof) is None for (proof,) in proofs):
            raise wrong_key()
        self._read(connection)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the numbers of the keys again, since another process may have changed them.

        Raises:
            InboxError: The key that encrypts has been replaced.
        """
        self._read(connection)
        if self._ciphers and self.number == IN_CLEAR:
            raise replaced_key()

    def encrypt(self, content: bytes, context: str) -> tuple[int, bytes]:
        """Encrypt for a context, which has to be the same when it is decrypted; return the number of the key, too."""
        return self.number, content if self.number == IN_CLEAR else self._ciphers[0].encrypt(content, context)

    def decrypt(self, number: int, content: bytes, context: str) -> bytes | None:
        """Decrypt something; None if it is damaged.

        Raises:
            InboxError: Its key was not given.
        """
        if number == IN_CLEAR:
            return bytes(content)
        self.require(number)
        return self._by_number[number].decrypt(content, context)

    def require(self, number: int) -> None:
        """Check that a key is at hand.

        Raises:
            InboxError: It was not given.
        """
        if number != IN_CLEAR and number not in self._by_number:
            raise wrong_key() if self._ciphers else no_key()

    def encrypted_id_key(self) -> tuple[int, bytes] | None:
        """Return the key of the hashes, encrypted with the key that encrypts now; None if there are no hashes."""
        return None if self._id_key is None else self.encrypt(self._id_key, ID_KEY_CONTEXT)

    def _read(self, connection: sqlite3.Connection) -> None:
        self._by_number = {}
        self.number = IN_CLEAR
        for number, proof in connection.execute("SELECT number, proof FROM key_proof"):
            cipher = self._cipher_of(proof)
            if cipher is not None:
                self._by_number[number] = cipher
                if cipher is self._ciphers[0]:
                    self.number = number
        row = connection.execute("SELECT key_number, content FROM id_key").fetchone()
        self._id_key = None if row is None else self.decrypt(row[0], row[1], ID_KEY_CONTEXT)
        if row is not None and self._id_key is None:
            raise InboxError("the key of the ids in the inbox is damaged", reason="Damaged")
        self.hashes = IdHashes(self._id_key)

    def _cipher_of(self, proof: bytes) -> BodyCipher | None:
        return next((cipher for cipher in self._ciphers if cipher.decrypt(proof, _PROOF) is not None), None)
