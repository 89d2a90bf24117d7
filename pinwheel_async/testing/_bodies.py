"""From an event to the bytes that go over the wire: Python's default JSON, `event_id` first, in one line."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, cast

from attrs import field, frozen

from pinwheel_async._core.fields import Model, attributes, is_list, is_object
from pinwheel_async.events import Changed, Event, ReportAvailability, SwitchAllocation, UnknownEvent
from pinwheel_async.models.job import JobAllocationTarget
from pinwheel_async.testing._payloads import Subject, payload_of
from pinwheel_async.testing._people import START, Record, stamp
from pinwheel_async.testing._world import World

_ENVELOPE = frozenset({"event_id", "event", "extra"})
# Models that are sent with every key, whatever is null in them.
_WHOLE = (Changed, ReportAvailability, SwitchAllocation, JobAllocationTarget)
_NEW_ALLOCATION = "2023-11-22"


@frozen
class Letter:
    """One event, to be sent to everybody who wants it."""

    event_id: str
    event: str
    payload: Record = field(repr=False)

    def body(self, version: str) -> bytes:
        """Return the bytes for a webhook of a version."""
        payload = _lowered(self.event, self.payload, version)
        return json.dumps({"event_id": self.event_id, "event": self.event, "payload": payload}, default=_plain).encode()


def letter_of(event: Event) -> Letter:
    """Return what an event of ours says, as the API says it.

    Keys that the API always sends are there, as null if need be; the others only where there is something to say.
    """
    if isinstance(event, UnknownEvent):
        return Letter(event.event_id, event.event, dict(event.payload))
    said = {one.name: getattr(event, one.name) for one in attributes(type(event)) if one.name not in _ENVELOPE}
    usual = _usual(event.NAME)
    said = {name: value for name, value in said.items() if value is not None or name in usual}
    if "params" in said:
        said["params"] = said["params"] or {}
    extra: Mapping[str, Any] = getattr(event, "extra", {})
    return Letter(event.event_id, event.event or event.NAME, {**_in_order(_json(said), usual), **extra})


@cache
def _usual(name: str) -> Record:
    world = World(accounts=1, seed=0, api_secret="")
    return payload_of(name, Subject(world=world, account_id=world.account_id(0), at=START, job_id=""))


def _in_order(said: Any, usual: Any) -> Any:
    """Put keys into their usual order, and unusual ones behind them."""
    if not is_object(said) or not is_object(usual):
        return said
    return {name: _in_order(said[name], one) for name, one in usual.items() if name in said} | {
        name: one for name, one in said.items() if name not in usual
    }


def _lowered(name: str, payload: Record, version: str) -> Record:
    """Put a payload into the shape of an older version: a switch had an `amount`, in cents."""
    params: Any = payload.get("params")
    if name != "direct_deposit_switch.added" or version >= _NEW_ALLOCATION or not is_object(params):
        return payload
    allocation: Any = params.get("allocation") or {}
    cents = round(allocation["value"] * 100) if allocation.get("type") == "amount" else None
    return payload | {"params": {"amount": cents}}


def _json(value: Any) -> Any:
    if isinstance(value, Model):
        pairs = ((one.name, getattr(value, one.name)) for one in attributes(type(value)))
        return {name: _json(one) for name, one in pairs if one is not None or isinstance(value, _WHOLE)}
    if is_object(value):
        return {name: _json(one) for name, one in value.items()}
    if isinstance(value, tuple) or is_list(value):
        return [_json(one) for one in cast("tuple[Any, ...]", value)]
    return value


def _plain(value: Any) -> Any:
    """Write what JSON has no word for."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, Model | Mapping):
        return dict(_json(value)) if isinstance(value, Model) else dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"a payload cannot hold a {type(value).__name__}")
