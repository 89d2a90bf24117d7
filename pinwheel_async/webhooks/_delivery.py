"""A delivery: one authentic webhook body, with what has to be known of it before it is stored."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import attrs
from attrs import frozen

from pinwheel_async._core.convert import read_as
from pinwheel_async._core.fields import Model


@frozen(kw_only=True, repr=False)
class Delivery(Model):
    """One webhook body whose signature was good, as it is kept until its handlers have run."""

    event_id: str
    """Unique per event: what comes again with a known id is a repetition. Made from the body's hash if it has none."""
    event: str
    """Event name, such as `paystubs.added`; empty if the body has none."""
    lane: str
    """What its order belongs to: the account, else the company connection or end user, else the event itself."""
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
    """The raw bytes that were signed."""


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


@frozen
class _OddEnvelope:
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
    envelope: Any = read_as(_Envelope, body) or read_as(_OddEnvelope, body)
    payload: Any = getattr(envelope, "payload", None) or _Payload()
    event_id = text(getattr(envelope, "event_id", None)) or f"sha256:{sha256(body).hexdigest()}"
    lane = text(payload.account_id) or text(payload.company_connection_id) or text(payload.end_user_id)
    return Delivery(
        event_id=event_id,
        event=text(getattr(envelope, "event", None)),
        lane=lane or event_id,
        received_at=received_at or datetime.now(UTC),
        key=key,
        version=clean(headers.get("pinwheel-version")),
        webhook_id=clean(headers.get("x-pinwheel-webhook-id")),
        traceparent=clean(headers.get("traceparent")),
        body=body,
    )


def without_body(delivery: Delivery) -> Delivery:
    """Return the delivery without its payload."""
    return attrs.evolve(delivery, body=b"")


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by lower-case names, for plain mappings that have kept the case of the wire."""
    return {name.lower(): value for name, value in headers.items()}


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
