"""Delivery of a webhook: how its body is verified, and what has to be known of it before it is stored.

`parse_delivery` verifies and decodes in one call, for those who need nothing else.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeAlias, cast

import attrs
from attrs import frozen

from pinwheel_async._core.convert import read_as
from pinwheel_async._core.derived import struct_of
from pinwheel_async._core.model import Model
from pinwheel_async._core.parse import repaired
from pinwheel_async._core.signature import KeyRing, Verdict
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, DecodeError, EnvelopeError, SignatureError
from pinwheel_async.events import EVENTS, Event, decode_event
from pinwheel_async.webhooks._encoding import decode_verified
from pinwheel_async.webhooks._refusals import RefusalReason

DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
"""Longest body that is taken. The largest thing that the API documents is a census of a company: one with 120,000
employees took 1,080,245 bytes. Ids may be longer than those, as the API promises no length: with 100 characters each it
would take 12.5 MB."""


@frozen(kw_only=True, repr=False)
class Delivery(Model):
    """One webhook body whose signature was good, as it is kept until its handlers have run."""

    event_id: str
    """Unique per event: what comes again with a known id is a repetition. Made from the body's hash if it has none."""
    event: str
    """Event name, such as `paystubs.added`; empty if the body has none."""
    ordering_key: str
    """What its order belongs to: the account, else the company connection or end user, else the event itself. Those
    with the same key are handled one at a time, in order of arrival. An inbox that hashes ids gives its hash."""
    received_at: datetime
    """When it arrived here, in UTC."""
    key: str
    """Name of the secret that signed it."""
    version: str | None = None
    """Version of the webhook as its header says; null when there was no such header."""
    webhook_id: str | None = None
    """Id of the subscription: the same for all its deliveries."""
    traceparent: str | None = None
    """The sender's trace context, if it sent one."""
    body: bytes = b""
    """The raw bytes that were signed; or what they inflate to, if they were compressed on their way."""


@frozen
class _Payload:
    account_id: Any = None
    company_connection_id: Any = None
    end_user_id: Any = None


@frozen
class _Envelope:
    event_id: Any = None
    event: Any = None
    payload: _Payload | None = None


_ENVELOPE = struct_of(_Envelope)


@frozen
class _OddEnvelope:
    """An envelope whose payload is no object; its ids can be read all the same."""

    event_id: Any = None
    event: Any = None


def make_delivery(
    headers: Mapping[str, str], body: bytes, *, key: str, received_at: datetime | None = None
) -> Delivery:
    """Read the envelope of an authentic body, and no more than that; never raises, whatever the body is.

    Args:
        headers: The request's headers; a mapping that ignores case, or one with lower-case names: see `lowered`.
        body: The raw bytes that were signed.
        key: Name of the secret that signed them.
        received_at: When it arrived; now, if not given.
    """
    envelope: Any = read_as(_ENVELOPE, body) or _read_odd_envelope(body)
    payload: Any = getattr(envelope, "payload", None) or _Payload()
    event_id = text(getattr(envelope, "event_id", None)) or f"sha256:{sha256(body).hexdigest()}"
    owner = text(payload.account_id) or text(payload.company_connection_id) or text(payload.end_user_id)
    return Delivery(
        event_id=event_id,
        event=text(getattr(envelope, "event", None)),
        ordering_key=owner or event_id,
        received_at=received_at or datetime.now(UTC),
        key=key,
        version=clean(headers.get("pinwheel-version")),
        webhook_id=clean(headers.get("x-pinwheel-webhook-id")),
        traceparent=clean(headers.get("traceparent")),
        body=body,
    )


def _read_odd_envelope(body: bytes) -> Any:
    """Read what can be read of an envelope that is not quite JSON, or has fields of other types."""
    body = repaired(body)
    return read_as(_Envelope, body) or read_as(_OddEnvelope, body)


def without_body(delivery: Delivery) -> Delivery:
    """Return the delivery without its payload."""
    return attrs.evolve(delivery, body=b"")


Headers: TypeAlias = (
    Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
)
"""Headers as servers hand them out: a mapping, or pairs of name and value as in ASGI; text or bytes, in any case."""


@without_locals
def lowered(headers: Headers) -> Mapping[str, str]:
    """Return headers in a form in which lower-case names find them; of several with one name, the first.

    Raises:
        ConfigurationError: They are something else.
    """
    given: Any = headers
    get, items = getattr(given, "get", None), getattr(given, "items", None)
    # What finds a name in two spellings ignores case, as aiohttp's does: it needs no copy.
    if get is not None and isinstance(get("x-timestamp"), str) and isinstance(get("X-Timestamp"), str):
        return cast("Mapping[str, str]", headers)
    lower: dict[str, str] = {}
    wanted = (
        "headers must be a mapping from names to values, or pairs of name and value, all of them text or bytes: "
        'pass request.headers, or scope["headers"] of ASGI, or event["headers"] of AWS, and not request.META or '
        "an environ of WSGI"
    )
    try:
        for name, value in given if items is None else items():
            # Where a name has a list of values, as in `multiValueHeaders` of AWS, the first one counts here, too.
            lower.setdefault(_decoded(name).lower(), _decoded(value[0] if type(value) in {list, tuple} else value))
    except (TypeError, ValueError, LookupError):
        raise ConfigurationError(wanted) from None
    if "http_x_timestamp" in lower:  # under these names nothing is found, and a refusal would lose the delivery
        raise ConfigurationError(wanted)
    return lower


def _decoded(part: str | bytes) -> str:
    """Return a name or a value as text; bytes as HTTP has them, so that none is refused here."""
    if isinstance(part, str):
        return part
    return bytes(memoryview(part)).decode("latin-1")


@without_locals
def as_bytes(body: Any) -> bytes:
    """Return a body as bytes.

    Raises:
        ConfigurationError: It is text or something else: what was signed cannot be known from that.
    """
    if isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return memoryview(body).tobytes()  # pyright: ignore[reportUnknownArgumentType]  # of whatever format
    kind = type(body).__name__
    del body
    raise ConfigurationError(
        f"body must be the raw bytes of the request, before any decoding, not {kind}: pass request.body of Django, "
        'await request.body() of Starlette, event["body"].encode() of AWS, or base64.b64decode(event["body"]) where '
        "it says isBase64Encoded"
    )


def text(value: Any) -> str:
    """Return text that any store and any log can keep; an envelope may hold anything. Odd text is told by its hash."""
    if not isinstance(value, str):
        return ""
    if len(value) <= 255 and value.isprintable():
        return value
    return f"sha256:{sha256(value.encode('utf-8', 'replace')).hexdigest()}"


def clean(value: str | None) -> str | None:
    """Return a header's value, None if it is odd."""
    return value if value and len(value) <= 255 and value.isascii() and value.isprintable() else None


@without_locals
def parse_delivery(
    headers: Headers,
    body: bytes,
    *,
    secrets: KeyRing | Iterable[str] | Mapping[str, str],
    max_age_s: float | None = None,
    version: str | None = None,
) -> Event:
    """Return the event of one delivery, if its signature is good: for any framework, and without a receiver.

    Nothing is stored, and a repetition looks like the first one: see `Event.event_id`.

    Args:
        headers: The request's headers: a mapping, or pairs of name and value as in ASGI, in whatever case.
        body: The raw bytes, before any decoding.
        secrets: The API secrets that may have signed: a list, a mapping from names of your own to secrets, or a
            `KeyRing`, which saves preparing them each time.
        max_age_s: See `Receiver`.
        version: See `Receiver`.

    Raises:
        SignatureError: It is not authentic: answer 401. Or it was compressed on its way so that it cannot be verified,
            which the message says: answer 503.
        EnvelopeError: It is authentic, but not an event. Keep it, and answer 200: the sender does not repeat after 4xx.
        DecodeError: It is a known event with a payload that cannot be read. Keep it, and answer 200.
        ConfigurationError: There is no secret, or one cannot be a secret.
    """
    ring = secrets if isinstance(secrets, KeyRing) else KeyRing(secrets)
    body, found = as_bytes(body), lowered(headers)
    authenticated = authenticate(ring, found, body, max_age_s=max_age_s, max_body_bytes=DEFAULT_MAX_BODY_BYTES)
    if isinstance(authenticated, str):
        raise SignatureError(f"the webhook may be authentic, but cannot be verified, answer 503: {authenticated}")
    verdict, body = authenticated
    if verdict.key is None or not verdict.ok:
        raise SignatureError(f"the webhook is not authentic: signature {verdict.reason}")
    delivery = make_delivery(found, body, key=verdict.key)
    decoded = decode_event(body, version=delivery.version or version)
    if decoded.event is not None:
        return decoded.event
    if delivery.event in EVENTS:
        raise DecodeError(where=delivery.event, paths=decoded.problems)
    raise EnvelopeError(f"the webhook is authentic, but not an event: {'; '.join(decoded.problems)}")


def authenticate(
    ring: KeyRing, headers: Mapping[str, str], body: bytes, *, max_age_s: float | None, max_body_bytes: int
) -> tuple[Verdict, bytes] | RefusalReason:
    """Verify a body; return the verdict, and the body without its content encoding, or why there is no verdict.

    Args:
        ring: The secrets that may have signed.
        headers: The request's headers, `lowered`.
        body: The raw bytes.
        max_age_s: See `Receiver`.
        max_body_bytes: Longest body, without its encoding.
    """

    def verify(body: bytes) -> Verdict:
        return ring.verify(
            signature=headers.get("x-pinwheel-signature"),
            timestamp=headers.get("x-timestamp"),
            body=body,
            now=None if max_age_s is None else time.time(),
            max_age_s=max_age_s,
        )

    verdict = verify(body)
    encoding = headers.get("content-encoding")
    if encoding is None or verdict.reason in {"missing", "malformed"}:
        return verdict, body
    return decode_verified(encoding, body, verdict, verify, max_bytes=max_body_bytes)
