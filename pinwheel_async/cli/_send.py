"""Command `pinwheel-async send`: sends a made-up, signed event to a receiver."""

from json import dumps
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async._core.fields import attributes
from pinwheel_async._core.model import Model
from pinwheel_async.cli._forward import Target, check_url
from pinwheel_async.cli._options import Json
from pinwheel_async.errors import ConfigurationError, PinwheelError
from pinwheel_async.events import ALIASES, EVENTS, Event
from pinwheel_async.settings import find_secret
from pinwheel_async.testing import make_event, signed_delivery

Outcome: TypeAlias = Literal["success", "error", "pending"]

_TIMEOUT_S = 15.0
"""Pinwheel gives up on a receiver after so many seconds, too."""

_FAILED = {"error_code": "systemError", "error_type": "systemError"}
_NOTHING: dict[str, Any] = {"params": None, "added": (), "deleted": ()}


async def send(
    event: str,
    url: str,
    /,
    *,
    account_id: str | None = None,
    event_id: str | None = None,
    outcome: Outcome | None = None,
    count: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    json: Json = False,
) -> int:
    """Send a made-up event, signed with the API secret, to a receiver, and print how it answers.

    The exit code is 0 if it answers 200, else 4.

    Parameters
    ----------
    event:
        Name of the event, such as paystubs.added.
    url:
        Where to: https, or http on this machine, because the body is signed with the secret.
    account_id:
        Account that it is about; a made-up one when left out.
    event_id:
        Its id, to send the same again; a new one when left out.
    outcome:
        How the job ended.
    count:
        Items of the batch, as its params say.
    """
    secret = find_secret(None)
    check_url(url)
    made = _make(event, event_id or str(uuid4()), account_id, outcome, count)
    delivery = signed_delivery(made, secret=secret)
    async with Target(url) as target:
        reply = await target.post(delivery.headers, delivery.body, timeout_s=_TIMEOUT_S)
    if reply.status is None:
        raise PinwheelError(f"the receiver at {target.host} gave no answer, after {reply.ms / 1_000:.1f} s")
    if json:
        print(dumps({"status": reply.status, "event": made.event, "event_id": made.event_id}))
    else:
        print(f"{reply.status} {made.event} {made.event_id}, {reply.ms} ms")
    return 0 if reply.status == 200 else 4


def _make(name: str, event_id: str, account_id: str | None, outcome: Outcome | None, count: int | None) -> Event:
    kind = EVENTS.get(ALIASES.get(name, name))
    if kind is None:
        raise ConfigurationError(f"there is no event of this name; names are {', '.join(EVENTS)}")
    made = make_event(kind, event_id=event_id)
    wanted: dict[str, Any] = {"account_id": account_id, "outcome": outcome}
    made = _with(made, {key: value for key, value in wanted.items() if value is not None})
    if outcome in {"error", "pending"}:
        nothing = _NOTHING | (_FAILED if outcome == "error" else {})
        made = attrs.evolve(made, **{key: value for key, value in nothing.items() if _has(made, key)})
    if count is not None:
        params: Any = getattr(made, "params", None)
        if not _has(params, "count"):
            raise ConfigurationError(f"this {name} has no count")
        made = _with(made, {"params": attrs.evolve(params, count=count)})
    return made


def _with(made: Event, wanted: dict[str, Any]) -> Event:
    for key in wanted:
        if not _has(made, key):
            raise ConfigurationError(f"{made.event} has no {key}")
    return attrs.evolve(made, **wanted)


def _has(model: object, name: str) -> bool:
    return isinstance(model, Model) and any(field.name == name for field in attributes(type(model)))
