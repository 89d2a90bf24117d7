"""Encryption of what an inbox stores, and keyed hashes that stand for ids.

AES-GCM, bound to a context, so that nothing can be put in another's place.
"""

import hmac
import os
import re
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from pinwheel_async._privacy import Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError, InboxError

_NONCE_BYTES = 12
"""The size for which AES-GCM is defined without hashing the nonce first; random ones serve for 2^32 texts of a key."""


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...


class BodyCipher(Unpicklable):
    """Encrypts and decrypts bodies, and values beside them, with one key; the context of a body is its event id."""

    @without_locals
    def __init__(self, key: bytes) -> None:
        """Take the key.

        Raises:
            ConfigurationError: The key has not 32 bytes.
            ModuleNotFoundError: The extra is not installed.
        """
        given: Any = key
        if type(given) is not bytes or len(given) != 32:
            del given, key
            raise ConfigurationError("the key of an inbox is 32 random bytes, as from secrets.token_bytes(32)")
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # an extra: only a key needs it
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ModuleNotFoundError:
            message = "an inbox with a key needs cryptography: pip install 'pinwheel-async[crypto]'"
            raise ModuleNotFoundError(message, name="cryptography") from None
        self._cipher: _Cipher = AESGCM(key)
        self._invalid_tag: type[Exception] = InvalidTag

    def encrypt(self, content: bytes, context: str) -> bytes:
        """Encrypt something; each time to other bytes."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, context.encode())

    def decrypt(self, encrypted: bytes, context: str) -> bytes | None:
        """Decrypt something; None if it was encrypted with another key, for another context, or was damaged since."""
        nonce, content = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, context.encode())
        except (self._invalid_tag, ValueError):  # ValueError: too short to hold a nonce and a tag
            return None


@without_locals
def read_keys(key: bytes | None, old_keys: Sequence[bytes]) -> tuple[BodyCipher, ...]:
    """Return what an inbox is encrypted with: the first one encrypts, all decrypt; nothing if there is no key.

    Raises:
        ConfigurationError: A key has not 32 bytes, or there are only old ones.
        ModuleNotFoundError: There is a key, and the extra is not installed.
    """
    given: Any = old_keys
    if isinstance(given, bytes):
        raise ConfigurationError("old_keys must be a list of keys, even for one")
    if key is None and old_keys:
        raise ConfigurationError("old_keys go with a key")
    return () if key is None else tuple([BodyCipher(secret) for secret in (key, *old_keys)])


def saved_context(name: str) -> str:
    """Return what a saved value is bound to when it is encrypted."""
    return f"\0saved\0{name}"


def no_key() -> InboxError:
    """Return the error of an inbox that needs a key."""
    return InboxError("the bodies in the inbox are encrypted: open it with its key", reason="NoKey")


def wrong_key() -> InboxError:
    """Return the error of an inbox that needs another key."""
    return InboxError(
        "something in the inbox is encrypted with another key: open it with that one, or with both", reason="WrongKey"
    )


def replaced_key() -> InboxError:
    """Return the error of an inbox whose key is out of use."""
    return InboxError("the key of the inbox was replaced: open it with the new one", reason="WrongKey")


ID_KEY_CONTEXT = "\0id key"
"""What the key of the hashes is bound to; bodies are bound to ids of events, which hardly begin like this."""

_HASH_BYTES = 16
"""Of each hash: two of a billion ids have the same one with a probability of one in 10^21."""

_HASHED = re.compile(r"hmac:[0-9a-f]{32}", re.ASCII)


def new_id_key() -> bytes:
    """Return a key for the hashes of a new inbox: so the same account has another hash in another inbox."""
    return secrets.token_bytes(32)


class IdHashes(Unpicklable):
    """Hashes of ids; without a key each id stands for itself."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    @property
    def are_used(self) -> bool:
        """Whether there are hashes in the place of ids."""
        return self._key is not None

    def stored(self, ordering_key: str) -> str:
        """Return what stands for an ordering key; a hash, as it is shown, stands for itself."""
        return ordering_key if _HASHED.fullmatch(ordering_key) else self._hash("ordering key", ordering_key)

    def stored_name(self, name: str) -> str:
        """Return what stands for the name of a saved value."""
        return self._hash("saved", name)

    def _hash(self, purpose: str, text: str) -> str:
        if self._key is None:
            return text
        # The purpose, so that the name of a value cannot be told to belong to the deliveries of the same account.
        digest = hmac.digest(self._key, f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), "sha256")
        return f"hmac:{digest[:_HASH_BYTES].hex()}"
