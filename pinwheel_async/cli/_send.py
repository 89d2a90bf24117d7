"""Command `pinwheel-async send`: sends a made-up, signed event to a receiver."""

import re
from collections.abc import Iterator, Sequence
from json import dumps, loads
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async._core.arguments import meant
from pinwheel_async._core.fields import attributes, is_list, is_object
from pinwheel_async._core.model import Model
from pinwheel_async.cli._forward import Target, check_url
from pinwheel_async.cli._options import Json
from pinwheel_async.errors import ConfigurationError, PinwheelError
from pinwheel_async.events import ALIASES, EVENTS, Event
from pinwheel_async.settings import LATEST_VERSION, find_secret
from pinwheel_async.testing import make_event, signed_delivery
from pinwheel_async.testing._webhooks.body import outgoing_event
from pinwheel_async.webhooks._inspector.fields import masked_fields

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
    changes: Annotated[tuple[str, ...], Parameter(name="--set", show_default=False)] = (),
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
    changes:
        A field of the body and its value, such as payload.platform_name=Acme or payload.added.0.year=2025. The value is
        JSON; what is no JSON is text.
    """
    secret = find_secret(None)
    check_url(url)
    made = _make(event, event_id or str(uuid4()), account_id, outcome, count)
    body = _changed(outgoing_event(made).body(LATEST_VERSION), made.NAME, changes)
    delivery = signed_delivery(body, secret=secret)
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


def _changed(body: bytes, event: str, changes: Sequence[str]) -> bytes:
    """Return a body with other values at some paths.

    Raises:
        ConfigurationError: What is given is no path and value, or the event has no such field.
    """
    if not changes:
        return body
    content: Any = loads(body)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise ConfigurationError("--set is a path and a value, such as payload.platform_name=Acme")
        _check_path(event, path)
        _put(content, path, _read(text))
    return dumps(content).encode()


def _check_path(event: str, path: str) -> None:
    paths = {f"payload.{field.path}": field.text for field in masked_fields(event)}
    open_objects = tuple([f"{field}." for field, kind in paths.items() if kind == "object"])
    known = {part for field in paths for part in _beginnings(field)} - {"payload"}
    pattern = re.sub(r"\.\d+(?=\.|$)", "[]", path)
    if pattern not in known and not pattern.startswith(open_objects):
        readable = [field.replace("[]", ".0") for field in sorted(known) if not field.endswith("[]")]
        raise ConfigurationError(f"the body of {event} has no {path}{meant(path, readable)}")


def _beginnings(path: str) -> Iterator[str]:
    """Yield the path of a field and those of all that it is in: `a.b[].c`, `a.b[]`, `a.b`, `a`."""
    while path:
        yield path
        path = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]


def _put(content: Any, path: str, value: Any) -> None:
    """Put a value at a path that the event has, and make what is not there on the way."""
    *above, last = path.split(".")
    for name in above:
        key = _key(content, name, path)
        if is_list(content) and key == len(content):
            content.append({})
        elif is_object(content) and content.get(key) is None:
            content[key] = {}
        content = content[key]
    key = _key(content, last, path)
    if is_list(content) and key == len(content):
        content.append(value)
    else:
        content[key] = value


def _key(content: Any, name: str, path: str) -> Any:
    """Return the key of a member, or the index of an item; that of the next item, too.

    Raises:
        ConfigurationError: There can be none of this name.
    """
    if is_object(content):
        return name
    if is_list(content) and name.isdecimal() and int(name) <= len(content):
        return int(name)
    there = f"{len(content)} items" if is_list(content) else "no object"
    raise ConfigurationError(f"--set {path}: there is {there} where {name} is to be")


def _read(text: str) -> Any:
    """Return a value that is given as JSON, or the text itself."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)  # NaN and Infinity, which are no JSON, although Python reads them

    try:
        return loads(text, parse_constant=refuse)
    except ValueError:
        return text


def _with(made: Event, wanted: dict[str, Any]) -> Event:
    for key in wanted:
        if not _has(made, key):
            raise ConfigurationError(f"{made.event} has no {key}")
    return attrs.evolve(made, **wanted)


def _has(model: object, name: str) -> bool:
    return isinstance(model, Model) and any(field.name == name for field in attributes(type(model)))
