"""JSON bodies of webhooks: as Python writes JSON by default, `event_id` first, in the shape of a webhook's version."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, cast

from attrs import field, frozen

from pinwheel_async._core.fields import attributes, is_list, is_object
from pinwheel_async._core.model import Model
from pinwheel_async._privacy import Discreet
from pinwheel_async.events import Changed, Event, ReportAvailability, SwitchAllocation, UnknownEvent
from pinwheel_async.models.job import JobAllocationTarget
from pinwheel_async.testing._webhooks.payloads import Subject, payload_of
from pinwheel_async.testing._world.people import START
from pinwheel_async.testing._world.records import Record, stamp
from pinwheel_async.testing._world.world import World

_ENVELOPE = frozenset({"event_id", "event", "extra"})
# Models that the API sends with every key, whatever is null in them.
_WHOLE = (Changed, ReportAvailability, SwitchAllocation, JobAllocationTarget)
_NEW_ALLOCATION = "2023-11-22"


@frozen
class OutgoingEvent(Discreet):
    """One event to be sent, before it is written for the version of a webhook."""

    event_id: str
    event: str
    payload: Record = field(repr=False)

    def body(self, version: str) -> bytes:
        """Return the bytes for a webhook of a version."""
        payload = _downgraded(self.event, self.payload, version)
        return json.dumps({"event_id": self.event_id, "event": self.event, "payload": payload}, default=_plain).encode()


def outgoing_event(event: Event) -> OutgoingEvent:
    """Write an event of this library as the API would send it.

    Keys that the API always sends are there, as null if need be; the others only if they have a value.
    """
    if isinstance(event, UnknownEvent):
        return OutgoingEvent(event.event_id, event.event, dict(event.payload))
    names = [attribute.name for attribute in attributes(type(event)) if attribute.name not in _ENVELOPE]
    usual = _usual_payload(event.NAME)
    payload = {name: getattr(event, name) for name in names}
    payload = {name: value for name, value in payload.items() if value is not None or name in usual}
    if "params" in payload:
        payload["params"] = payload["params"] or {}
    extra: Mapping[str, Any] = getattr(event, "extra", {})
    return OutgoingEvent(event.event_id, event.event or event.NAME, {**_in_order(_json(payload), usual), **extra})


@cache
def _usual_payload(name: str) -> Record:
    world = World(accounts=1, seed=0, api_secret="")
    return payload_of(name, Subject(world=world, account_id=world.account_id(0), at=START, job_id=""))


def _in_order(payload: Any, usual: Any) -> Any:
    """Put keys into their usual order, and unusual ones behind them."""
    if not is_object(payload) or not is_object(usual):
        return payload
    return {name: _in_order(payload[name], example) for name, example in usual.items() if name in payload} | {
        name: value for name, value in payload.items() if name not in usual
    }


def _downgraded(name: str, payload: Record, version: str) -> Record:
    """Put a payload into the shape of an older version: a switch had an `amount`, in cents."""
    params: Any = payload.get("params")
    if name != "direct_deposit_switch.added" or version >= _NEW_ALLOCATION or not is_object(params):
        return payload
    allocation: Any = params.get("allocation") or {}
    cents = round(allocation["value"] * 100) if allocation.get("type") == "amount" else None
    return payload | {"params": {"amount": cents}}


def _json(value: Any) -> Any:
    if isinstance(value, Model):
        fields = {attribute.name: getattr(value, attribute.name) for attribute in attributes(type(value))}
        is_whole = isinstance(value, _WHOLE)
        return {name: _json(member) for name, member in fields.items() if member is not None or is_whole}
    if is_object(value):
        return {name: _json(member) for name, member in value.items()}
    if isinstance(value, tuple) or is_list(value):
        return [_json(element) for element in cast("tuple[Any, ...]", value)]
    return value


def _plain(value: Any) -> Any:
    """Write what JSON has no type for."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Model | Mapping):
        return dict(_json(value)) if isinstance(value, Model) else dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"a payload cannot hold a {type(value).__name__}")
