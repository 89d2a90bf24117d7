"""Encryption of stored bodies: AES-GCM, bound to the event id, so that no body can be put in another's place."""

import os
from typing import Protocol

from pinwheel_async.errors import ConfigurationError

_NONCE = 12


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes: ...


class Sealer:
    """Seals bodies with one key."""

    def __init__(self, key: bytes) -> None:
        """Take the key.

        Raises:
            ConfigurationError: The key has not 32 bytes.
            ModuleNotFoundError: The extra is not installed.
        """
        if len(key) != 32:
            raise ConfigurationError("the key of an inbox is 32 random bytes, as from secrets.token_bytes(32)")
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # an extra: only who has a key needs it
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
        except ModuleNotFoundError:
            what = "an inbox with a key needs cryptography: pip install 'pinwheel-async[crypto]'"
            raise ModuleNotFoundError(what, name="cryptography") from None
        self._cipher: _Cipher = AESGCM(key)
        self._refusal: type[Exception] = InvalidTag

    def seal(self, body: bytes, event_id: str) -> bytes:
        """Encrypt a body; each time to other bytes."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, event_id.encode())

    def unseal(self, sealed: bytes, event_id: str) -> bytes | None:
        """Decrypt a body; None if it was sealed with another key, for another event, or was damaged since."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], event_id.encode())
        except (self._refusal, ValueError):
            return None
