"""Verify and parse a delivery in one call, for those who need nothing else."""

import time
from collections.abc import Iterable, Mapping

from pinwheel_async._core.signature import KeyRing, Verdict
from pinwheel_async.errors import DecodeError, EnvelopeError, SignatureError
from pinwheel_async.events import EVENTS, Event, decode_event
from pinwheel_async.webhooks._delivery import lowered, make_delivery


def parse_delivery(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: KeyRing | Iterable[str] | Mapping[str, str],
    max_age_s: float | None = None,
    version: str | None = None,
) -> Event:
    """Return the event of one delivery, if its signature is good: for any framework, and without a receiver.

    Nothing is stored, and a repetition looks like the first one: see `Event.event_id`.

    Args:
        headers: The request's headers, in whatever case.
        body: The raw bytes, before any decoding.
        secrets: The API secrets that may have signed: a list, a mapping from names of your own to secrets, or a
            `KeyRing`, which saves preparing them each time.
        max_age_s: See `Receiver`.
        version: See `Receiver`.

    Raises:
        SignatureError: It is not authentic: answer 401.
        EnvelopeError: It is authentic, but not an event. Keep it, and answer 200: the sender does not repeat after 4xx.
        DecodeError: It is a known event with a payload that cannot be read. Keep it, and answer 200.
        ConfigurationError: There is no secret, or one cannot be a secret.
    """
    ring = secrets if isinstance(secrets, KeyRing) else KeyRing(secrets)
    verdict, headers = authenticate(ring, headers, body, max_age_s=max_age_s)
    if verdict.key is None or not verdict.ok:
        raise SignatureError(f"the webhook is not authentic: signature {verdict.reason}")
    delivery = make_delivery(headers, body, key=verdict.key)
    decoded = decode_event(body, version=delivery.version or version)
    if decoded.event is not None:
        return decoded.event
    if delivery.event in EVENTS:
        raise DecodeError(where=delivery.event, paths=decoded.problems)
    raise EnvelopeError(f"the webhook is authentic, but not an event: {'; '.join(decoded.problems)}")


def authenticate(
    ring: KeyRing, headers: Mapping[str, str], body: bytes, *, max_age_s: float | None
) -> tuple[Verdict, Mapping[str, str]]:
    """Verify a body; return the verdict, and the headers in a form in which lower-case names find them."""
    signature = headers.get("x-pinwheel-signature")
    if signature is None:
        headers = lowered(headers)
        signature = headers.get("x-pinwheel-signature")
    timestamp = headers.get("x-timestamp")
    now = None if max_age_s is None else time.time()
    return ring.verify(signature=signature, timestamp=timestamp, body=body, now=now, max_age_s=max_age_s), headers
