"""Webhook signatures: bytes in, verdict out, for every input; nothing here raises on what a sender sends.

The sender signs `v2:`, the bytes of the `x-timestamp` header, `:` and the raw body with HMAC-SHA256; the key is the API
secret. Any reading of the body comes after the verdict, and on the very bytes that were signed.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import frozen

from pinwheel_async._privacy import Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError

_SIGNATURE = re.compile(rb"v2=[0-9a-f]{64}")
_TIMESTAMP_DIGITS = 20

Reason = Literal["ok", "missing", "malformed", "stale", "early", "wrong"]
"""What was found: a good signature, no header, a header that cannot be one, one that is too old or from the future, or
one of another secret, timestamp or body. For logs and counters; a sender should not be told which it was."""


@frozen(kw_only=True)
class Verdict:
    """Whether a body is authentic, and who signed it. Holds nothing of what was sent."""

    reason: Reason
    """Why it is authentic or not."""
    key: str | None = None
    """Name of the secret that signed; null unless the signature is good. Known for `stale` and `early`, too."""

    @property
    def ok(self) -> bool:
        """Whether the body is authentic and inside the age limit."""
        return self.reason == "ok"


_MISSING = Verdict(reason="missing")
_MALFORMED = Verdict(reason="malformed")
_WRONG = Verdict(reason="wrong")


def check_headers(signature: str | bytes | None, timestamp: str | bytes | None) -> Verdict | None:
    """Return the verdict on headers that no body can make good; null if a body may. Needs no body, and no secret.

    Args:
        signature: The `x-pinwheel-signature` header as it came; null if there was none.
        timestamp: The `x-timestamp` header as it came; null if there was none.
    """
    read = _read_headers(signature, timestamp)
    return read if isinstance(read, Verdict) else None


def _read_headers(signature: str | bytes | None, timestamp: str | bytes | None) -> tuple[bytes, bytes] | Verdict:
    if not signature or not timestamp:
        return _MISSING
    # Servers hand out odd bytes as lone surrogates, which become what fits no form.
    sent = signature.encode("ascii", "replace") if isinstance(signature, str) else signature
    stamp = timestamp.encode("ascii", "replace") if isinstance(timestamp, str) else timestamp
    if not stamp.isdigit() or len(stamp) > _TIMESTAMP_DIGITS or not _SIGNATURE.fullmatch(sent):
        return _MALFORMED
    return sent, stamp


@without_locals
def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return the `x-pinwheel-signature` header of a body: `v2=` and 64 lower-case hex digits.

    Args:
        secret: The API secret that signs.
        timestamp: The `x-timestamp` header: Unix seconds as decimal digits.
        body: The raw bytes as they are sent.
    """
    return f"v2={hmac.new(secret.encode(), b'v2:%b:%b' % (timestamp.encode(), body), 'sha256').hexdigest()}"


class _Key(Unpicklable):
    """A secret, made ready: HMAC-SHA256 with the key hashed once, and copied for each body."""

    __slots__ = ("_hmac", "good", "name")

    def __init__(self, name: str, secret: bytes) -> None:
        self.name = name
        self.good = Verdict(reason="ok", key=name)
        self._hmac = hmac.new(secret, digestmod="sha256")

    def sign(self, message: bytes) -> bytes:
        digest = self._hmac.copy()
        digest.update(message)
        return b"v2=" + digest.hexdigest().encode()


class KeyRing(Unpicklable):
    """The secrets whose signatures are good: several, because secrets are changed and differ by environment.

    Its repr shows their names and never a secret.
    """

    __slots__ = ("_keys",)

    @without_locals
    def __init__(self, secrets: Iterable[str] | Mapping[str, str]) -> None:
        """Prepare the secrets.

        Args:
            secrets: API secrets by a name of your choice, which verdicts and logs will show; or in a list, where they
                are called `secret-1`, `secret-2`, and so on.

        Raises:
            ConfigurationError: There is no secret, or one that cannot be an API secret.
        """
        given = _named(secrets)
        problem = _problem(given)
        if problem is not None:
            raise ConfigurationError(problem)
        self._keys = tuple([_Key(name, secret.encode()) for name, secret in given])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets, in the order given."""
        return tuple(key.name for key in self._keys)

    def __repr__(self) -> str:
        """Return the names of the secrets."""
        return f"<KeyRing {' '.join(self.names)}>"

    def verify(
        self,
        *,
        signature: str | bytes | None,
        timestamp: str | bytes | None,
        body: bytes,
        now: float | None = None,
        max_age_s: float | None = None,
    ) -> Verdict:
        """Tell whether a body is authentic. Never raises, whatever the headers and the body are.

        Every secret is tried with equal work, whichever one matches, and digests are compared in constant time.

        Args:
            signature: The `x-pinwheel-signature` header as it came; null if there was none.
            timestamp: The `x-timestamp` header as it came; null if there was none.
            body: The raw bytes of the body.
            now: Unix seconds; needed for an age limit, which lets nothing pass without it.
            max_age_s: How many seconds the timestamp may be away from *now*, into the past or the future. None, the
                default, sets no limit: the API documents none, and whether a repeated delivery is signed anew is
                unverified, so a limit below its 15 minutes of repetitions may refuse a good one. Replays are caught
                by remembering event ids; a receiver that does not remember them for ever should remember them for
                longer than this limit.
        """
        read = _read_headers(signature, timestamp)
        if isinstance(read, Verdict):
            return read
        sent, stamp = read
        message = b"v2:%b:%b" % (stamp, body)
        found: _Key | None = None
        for key in self._keys:
            if hmac.compare_digest(key.sign(message), sent):
                found = key
        if found is None:
            return _WRONG
        return found.good if max_age_s is None else Verdict(reason=_age(int(stamp), now, max_age_s), key=found.name)


def _age(stamp: int, now: float | None, max_age_s: float) -> Reason:
    """Compare so that a clock or a limit that is no number lets nothing pass."""
    age = None if now is None else now - stamp
    if age is not None and -max_age_s <= age <= max_age_s:
        return "ok"
    return "early" if age is not None and age < 0 else "stale"


def _named(secrets: Any) -> list[tuple[Any, Any]]:
    if isinstance(secrets, Mapping):
        return list(secrets.items())  # pyright: ignore[reportUnknownArgumentType]  # checked next
    if isinstance(secrets, str | bytes) or not isinstance(secrets, Iterable):
        return [("", None)]
    return [(f"secret-{number}", secret) for number, secret in enumerate(secrets, 1)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # checked next


def _problem(given: list[tuple[Any, Any]]) -> str | None:
    """Return what is wrong with the secrets, without showing them."""
    if not given:
        return "secrets is empty: pass at least one API secret"
    for name, secret in given:
        if not isinstance(name, str) or not name or not isinstance(secret, str):
            return "secrets must be a list of API secrets, or a mapping from names to API secrets"
        if not (secret.isascii() and secret.isprintable()) or not secret or secret != secret.strip():
            return "every API secret must be printable ASCII without blanks at its ends: copy it again"
    return None
