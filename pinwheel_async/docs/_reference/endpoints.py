"""Page of the endpoints: every row of the API's table, the method that calls it, what it sends, returns and raises."""

import inspect
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from pinwheel_async import endpoints
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.model import Model
from pinwheel_async.client import Pinwheel
from pinwheel_async.docs import _names, _source
from pinwheel_async.docs._reference.markdown import code, codes, directive, table
from pinwheel_async.docs._reference.objects import describe, describe_function, prose_of
from pinwheel_async.endpoints._base import Endpoints

_INTRODUCTION = """# Endpoints

The API has {count} endpoints, {deprecated} of them deprecated. Each group is an attribute of `Pinwheel`, each
endpoint a method: `pinwheel.paystubs.list(account_id)`. A method that is called `list` returns `Paged`: await it for a
page, iterate over it for all items.

What any call may raise: `ClosedError`; `TransportError` and its `DeadlineError` where no reply came; and by the status
of a reply that is no success `InvalidRequestError` (400, 422), `UnauthorizedError` (401: the secret is wrong),
`ForbiddenError` (403: not for this key), `NotFoundError` (404), `ConflictError` (409), `RateLimitError` (429),
`ServerError` (5xx), or `ApiError` (another status). What is to be expected of an endpoint beside the first and those of
the secret stands with it. The API's documentation lists no errors by endpoint; these follow from what an endpoint takes
and returns.

*Repeated* says whether a call is tried again although the server may have received it; see
[retries](../explanation/guarantees.md#retries).

"""


@frozen
class Call:
    """An endpoint and the method that calls it."""

    group: str
    """Name of the attribute of `Pinwheel`."""
    method: str
    function: Any
    rows: tuple[Endpoint[Any], ...]
    """Several where the arguments choose between them."""


def calls() -> list[Call]:
    """Return every method of every group that calls an endpoint, in the order of the client's attributes."""
    groups = {name: str(field.type).strip("'\"") for name, field in _source.fields_of(Pinwheel).items()}
    return [
        call
        for name, kind in groups.items()
        if kind.endswith("Endpoints")
        for call in _calls_of(name, getattr(endpoints, kind))
    ]


def _calls_of(group: str, kind: type[Endpoints]) -> Iterator[Call]:
    for name, value in vars(kind).items():
        if not name.startswith("_") and inspect.isfunction(value):
            yield Call(group, name, value, tuple(_rows_of(inspect.unwrap(value), kind)))


def _rows_of(function: Any, kind: type[Endpoints]) -> Iterator[Endpoint[Any]]:
    """Yield the rows that a method names, itself or through a private method of its group."""
    for name in function.__code__.co_names:
        row = function.__globals__.get(name)
        if isinstance(row, Endpoint):
            yield row
        elif name.startswith("_") and name in vars(kind) and inspect.isfunction(vars(kind)[name]):
            yield from _rows_of(inspect.unwrap(vars(kind)[name]), kind)


def raised_by(row: Endpoint[Any]) -> list[str]:
    """Return the names of what a call may raise beside what every call may."""
    takes = "{" in row.path or row.query or row.body is not None
    found = [
        ("RequestError", takes),
        ("InvalidRequestError", takes),
        ("NotFoundError", "{" in row.path or row.operation == "lookup_employer"),
        ("ConflictError", row.method != "GET"),
        ("DecodeError", True),
        ("CursorError", row.shape == "page"),
    ]
    return [name for name, raised in found if raised]


def endpoints_page() -> str:
    """Return the page."""
    found = calls()
    rows = sorted(
        ([code(f"{row.method} {row.path}"), _link(call), _result(row)] for call in found for row in call.rows),
        key=lambda cells: cells[0].partition(" ")[2],
    )
    deprecated = [row for row in endpoints.ENDPOINTS if row.deprecated]
    parts = [
        _INTRODUCTION.format(count=len(endpoints.ENDPOINTS), deprecated=len(deprecated)),
        table(["endpoint", "method", "returns"], rows),
    ]
    group = ""
    for call in found:
        if call.group != group:
            group = call.group
            kind = str(_source.fields_of(Pinwheel)[group].type).strip("'\"")
            prose = prose_of(getattr(endpoints, kind))
            parts += [f"## {group}\n", directive("py:class", f"pinwheel_async.endpoints.{kind}", prose, fence="::::::")]
        parts.append(_describe(call))
    parts.append("## The table of endpoints\n")
    parts += [
        describe(f"pinwheel_async.endpoints.{name}", getattr(endpoints, name)) for name in ("ENDPOINTS", "Endpoint")
    ]
    return "\n".join(parts)


def _qualified(call: Call) -> str:
    return f"pinwheel_async.endpoints.{call.function.__qualname__}"


def _link(call: Call) -> str:
    return f"{{py:meth}}`pinwheel.{call.group}.{call.method} <{_qualified(call)}>`"


def _result(row: Endpoint[Any]) -> str:
    if row.result is None:
        return "whatever JSON there is" if row.shape == "json" else "nothing"
    name = _named(row.result)
    return f"list of {name}" if row.shape == "page" else name


def _named(model: type[Model]) -> str:
    home = _names.homes().get(f"{model.__module__}.{model.__qualname__}")
    return f"{{py:class}}`~{home}`" if home else code(model.__name__)


def _describe(call: Call) -> str:
    parts: list[str] = []
    for row in call.rows:
        facts = [
            [f"{code(f'{row.method} {row.path}')}", code(row.operation) + (" (deprecated)" if row.deprecated else "")]
        ]
        if row.query:
            facts.append(["query", codes(row.query)])
        if row.body is not None:
            facts.append(["body", _named(row.body)])
        facts.append(["returns", _result(row)])
        if row.meta is not None:
            facts.append(["meta", _named(row.meta)])
        facts.append(["repeated", "yes" if row.repeatable else "only if the server cannot have received it"])
        if row.auth != "secret":
            facts.append(["authentication", {"bearer": "an admin token", "none": "none"}.get(row.auth, row.auth)])
        facts.append(["raises", codes(raised_by(row))])
        parts.append(table(["request", "operation"], facts))
    return describe_function("py:method", _qualified(call), call.function, fence=":::::", extra="\n".join(parts))
