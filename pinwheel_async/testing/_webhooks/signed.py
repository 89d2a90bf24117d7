"""Signed deliveries for tests of receivers: good ones as the API sends them, and every kind of bad one."""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import attrs
from attrs import field, frozen

from pinwheel_async._core.fields import is_object
from pinwheel_async._core.signature import sign
from pinwheel_async._privacy import Discreet
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._webhooks.body import outgoing_event
from pinwheel_async.testing._webhooks.make_event import make_event

EXAMPLE_WEBHOOK_ID = "00000000-0000-4000-a000-000000000000"

_SIGNATURE, _TIMESTAMP = "x-pinwheel-signature", "x-timestamp"


@frozen(kw_only=True)
class SignedDelivery(Discreet):
    """One request to a receiver; its repr shows nothing of it."""

    headers: Mapping[str, str] = field(repr=False)
    """Headers with lower-case names."""
    body: bytes = field(repr=False)


def signed_delivery(
    event_or_body: Event | bytes,
    *,
    secret: str,
    timestamp: int | None = None,
    version: str = LATEST_VERSION,
    webhook_id: str = EXAMPLE_WEBHOOK_ID,
) -> SignedDelivery:
    """Sign a delivery, with all the headers that the API was seen to send.

    Args:
        event_or_body: An event, such as one of `make_event`, or raw bytes.
        secret: The API secret that signs.
        timestamp: When it is sent, in Unix seconds; now if None.
        version: Version of the webhook; an event is written in its shape.
        webhook_id: Id of the subscription.
    """
    body = outgoing_event(event_or_body).body(version) if isinstance(event_or_body, Event) else event_or_body
    stamp = str(int(time.time()) if timestamp is None else timestamp)
    headers = {
        _SIGNATURE: sign(secret, stamp, body),
        _TIMESTAMP: stamp,
        "x-pinwheel-webhook-id": webhook_id,
        "pinwheel-version": version,
        "content-type": "application/json",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": "python-requests/2.31.0",
        **_tracing(body),
    }
    return SignedDelivery(headers=headers, body=body)


def broken_deliveries(
    event_or_body: Event | bytes | None = None,
    *,
    secret: str,
    timestamp: int | None = None,
    max_age_s: float | None = None,
    version: str = LATEST_VERSION,
    webhook_id: str = EXAMPLE_WEBHOOK_ID,
) -> dict[str, SignedDelivery]:
    """Make deliveries that a receiver must refuse, by the name of what is wrong with each.

    ```python
    BROKEN = broken_deliveries(secret=SECRET)

    @pytest.mark.parametrize("name", BROKEN)
    async def test_refused(name): ...
    ```

    Args:
        event_or_body: Event or body that they would have brought; a made-up one if None.
        secret: The API secret whose signature would be good.
        timestamp: When they are sent, in Unix seconds; now if None.
        max_age_s: The receiver's age limit; with one there are `stale` and `early` ones, too. They are signed well, so
            that a receiver without a limit accepts them.
        version: Version of the webhook.
        webhook_id: Id of the subscription.
    """
    event = make_event(IncomeAdded) if event_or_body is None else event_or_body
    now = int(time.time()) if timestamp is None else timestamp

    def at(moment: int, key: str = secret) -> SignedDelivery:
        return signed_delivery(event, secret=key, timestamp=moment, version=version, webhook_id=webhook_id)

    good = at(now)
    made = {name: spoil(good, secret) for name, spoil in _SPOILERS.items()}
    made["other_secret"] = at(now, f"other-{secret}")
    if max_age_s is not None:
        away = int(max_age_s) + 60
        made |= {"stale": at(now - away), "early": at(now + away)}
    return made


def _tracing(body: bytes) -> dict[str, str]:
    """Make headers as the sender's tracing adds them, with ids that follow from the body."""
    digits = blake2b(body, digest_size=24).hexdigest()
    trace, span = digits[:32], digits[32:]
    return {
        "baggage": f"sentry-trace_id={trace},sentry-environment=sandbox",
        "sentry-trace": f"{trace}-{span}-0",
        "traceparent": f"00-{trace}-{span}-01",
        "tracestate": "dd=s:1;t.dm:-0",
        "x-datadog-trace-id": str(int(trace[16:], 16)),
        "x-datadog-parent-id": str(int(span, 16)),
        "x-datadog-sampling-priority": "1",
    }


def with_headers(signed: SignedDelivery, **changes: str | None) -> SignedDelivery:
    """Change headers; None takes one away. Names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    headers = {name: value for name, value in {**signed.headers, **named}.items() if value is not None}
    return attrs.evolve(signed, headers=headers)


def with_body(signed: SignedDelivery, body: bytes) -> SignedDelivery:
    """Put another body under the same signature."""
    return attrs.evolve(signed, body=body)


def _signature(change: Callable[[str], str | None]) -> Callable[[SignedDelivery, str], SignedDelivery]:
    return lambda good, _: with_headers(good, x_pinwheel_signature=change(good.headers[_SIGNATURE]))


def _body(change: Callable[[bytes], bytes]) -> Callable[[SignedDelivery, str], SignedDelivery]:
    return lambda good, _: with_body(good, change(good.body))


def _timestamp(stamp: str | None, *, signed: bool) -> Callable[[SignedDelivery, str], SignedDelivery]:
    def spoil(good: SignedDelivery, secret: str) -> SignedDelivery:
        signature = sign(secret, stamp or "", good.body) if signed else good.headers[_SIGNATURE]
        return with_headers(good, x_timestamp=stamp, x_pinwheel_signature=signature)

    return spoil


def _later(good: SignedDelivery, _: str) -> SignedDelivery:
    return with_headers(good, x_timestamp=str(int(good.headers[_TIMESTAMP]) + 1))


def _legacy(good: SignedDelivery, secret: str) -> SignedDelivery:
    """Sign as in 2020: `v1`, and only the payload."""
    envelope = _parsed(good.body)
    payload = envelope.get("payload") if is_object(envelope) else envelope
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    message = f"v1:{good.headers[_TIMESTAMP]}:{text}".encode()
    return with_headers(good, x_pinwheel_signature=f"v1={hmac.new(secret.encode(), message, 'sha256').hexdigest()}")


def _rewritten(body: bytes) -> bytes:
    """Write the same JSON without blanks, as a proxy might."""
    written = json.dumps(_parsed(body), separators=(",", ":")).encode()
    return written if written != body else written + b" "


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


_SPOILERS: Mapping[str, Callable[[SignedDelivery, str], SignedDelivery]] = {
    "altered_body": _body(lambda body: bytes([body[0] ^ 1]) + body[1:] if body else b"{"),
    "longer_body": _body(lambda body: body + b"\n"),
    "shorter_body": _body(lambda body: body[:-1] if body else b"{"),
    "rewritten_body": _body(_rewritten),
    "later_timestamp": _later,
    "missing_timestamp": _timestamp(None, signed=False),
    "empty_timestamp": _timestamp("", signed=True),
    "odd_timestamp": _timestamp("yesterday", signed=True),
    "missing_signature": _signature(lambda _: None),
    "empty_signature": _signature(lambda _: ""),
    "shorter_signature": _signature(lambda good: good[:-1]),
    "several_signatures": _signature(lambda good: f"{good},{good}"),
    "bare_digest": _signature(lambda good: good.removeprefix("v2=")),
    "upper_case": _signature(lambda good: f"v2={good[3:].upper()}"),
    "not_ascii": _signature(lambda good: f"{good[:-1]}\N{LATIN SMALL LETTER E WITH ACUTE}"),
    "v1_label": _signature(lambda good: good.replace("v2=", "v1=")),
    "v1": _legacy,
}
