"""Service behind the server, without I/O: from a request's parts to a reply, by the rules that endpoints share."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qs
from uuid import uuid4
from zlib import crc32

import attrs
import msgspec
from attrs import field, frozen

from pinwheel_async._core.converter import encode
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.page import PaginationMeta
from pinwheel_async._privacy import Discreet
from pinwheel_async.settings import LATEST_VERSION, VERSIONS
from pinwheel_async.testing._api import (
    account_handlers as _account_handlers,
    directory_handlers as _directory_handlers,
    resource_handlers as _resource_handlers,
)
from pinwheel_async.testing._api.cursors import Cursors
from pinwheel_async.testing._api.handlers import HANDLERS, Answer
from pinwheel_async.testing._api.links import FILES, PDF, Links
from pinwheel_async.testing._api.request import Call, Item, Listing, Nothing, Reply
from pinwheel_async.testing._api.routes import Routes, choose, placeholders
from pinwheel_async.testing._generic import make_generic
from pinwheel_async.testing._world.people import START
from pinwheel_async.testing._world.records import Entry, RefusedError, bad_request, not_found, stamp
from pinwheel_async.testing._world.world import World

"""Versions that requests may ask for; older ones are not supported any more."""

PAGE_SIZE = 25
_HANDLER_MODULES = (_account_handlers, _resource_handlers, _directory_handlers)  # importing them fills HANDLERS


@frozen(kw_only=True)
class RoutedRequest(Discreet):
    """One request, and the row of the API table that it is for."""

    method: str
    path: str = field(repr=False)
    """As it came, percent-encoded."""
    query: Mapping[str, list[str]] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    row: Endpoint[Any] | None
    """None where no row fits."""
    values: Mapping[str, str] = field(repr=False)
    """Values of the path's placeholders."""
    allowed: tuple[str, ...]
    """Methods that the path has rows for."""


class Service:
    """Answers requests from a world."""

    def __init__(self, rows: Iterable[Endpoint[Any]], world: World, base_url: str) -> None:
        self._routes = Routes(rows)
        self._world = world
        self._links = Links(base_url)
        self.cursors = Cursors()

    def route(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> RoutedRequest:
        """Find the row that a request is for."""
        path, _, query = target.partition("?")
        found = self._routes.find(path)
        rows = found.rows.get(method, []) if found else []
        row = choose(rows, _keys(body) if len(rows) > 1 else ()) if rows else None
        return RoutedRequest(
            method=method,
            path=path,
            query=parse_qs(query, keep_blank_values=True) if query else {},
            headers=headers,
            body=body,
            row=row,
            values=placeholders(row, found) if row and found else {},
            allowed=tuple(found.rows) if found else (),
        )

    def answer(self, routed: RoutedRequest) -> Reply:
        """Answer a request; never raises."""
        version = routed.headers.get("Pinwheel-Version", "")
        headers = {
            "Content-Type": "application/json",
            "Pinwheel-Version": version if version in VERSIONS else LATEST_VERSION,
            "X-Pinwheel-Request-Id": str(uuid4()),
        }
        try:
            if routed.path.startswith(FILES):
                return self._file(routed)
            return self._answer(routed, version, headers)
        except RefusedError as error:
            if error.status == 405:
                headers["Allow"] = ", ".join(routed.allowed)
            return Reply(error.status, error.envelope(), headers)

    def _answer(self, routed: RoutedRequest, version: str, headers: dict[str, str]) -> Reply:
        row = routed.row
        if row is None:
            raise _no_row(routed)
        self._check_auth(row, routed.headers)
        if version not in VERSIONS:
            raise bad_request("INVALID_VERSION", "Pinwheel-Version is missing, unknown or no longer supported.")
        list_name = _list_name(routed) if row.shape == "page" else ""
        call = Call(
            row=row,
            path=routed.values,
            query=routed.query,
            body=routed.body,
            version=version,
            after=self._after(routed, row, list_name),
        )
        handler = HANDLERS.get(row.operation)
        answer = handler(self._world, call) if handler else _made_up(row)
        return self._reply(answer, call, routed, list_name, headers)

    def _check_auth(self, row: Endpoint[Any], headers: Mapping[str, str]) -> None:
        if row.auth == "secret":
            self._world.resources.check_secret(headers.get("x-api-secret"))
        elif row.auth == "bearer":
            self._world.resources.check_bearer(headers.get("Authorization"))

    def _after(self, routed: RoutedRequest, row: Endpoint[Any], list_name: str) -> int | None:
        if "cursor" not in routed.query or row.meta is None or not issubclass(row.meta, PaginationMeta):
            return None
        rank = self.cursors.find(list_name, routed.query["cursor"][-1])
        if rank is None:
            problem = ("cursor", "is not valid or has expired")
            raise bad_request("INVALID_CURSOR", "The cursor is not valid.", problem)
        return rank

    def _reply(
        self, answer: Answer, call: Call, routed: RoutedRequest, list_name: str, headers: dict[str, str]
    ) -> Reply:
        if isinstance(answer, Nothing):
            if answer.body is None:
                del headers["Content-Type"]
            return Reply(204 if answer.body is None else 200, answer.body or b"", headers)
        data, meta = (answer.body, answer.meta) if isinstance(answer, Item) else self._page(answer, call, list_name)
        # The real API varies the order of `data` and `meta`; here it follows from the path, so that it can be repeated.
        body = _envelope(call.row, data, meta, data_first=crc32(routed.path.encode()) % 2 == 0)
        return Reply(200, self._links.complete(body, self._world.now()), headers)

    def _page(self, answer: Listing, call: Call, list_name: str) -> tuple[bytes, Mapping[str, Any]]:
        limit = call.number("limit", 1, 100) or PAGE_SIZE
        after = call.after
        rest = answer.entries if after is None else (entry for entry in answer.entries if entry.rank > after)
        found = list(islice(rest, limit + 1))  # one more tells whether there is another page
        page = found[:limit]
        more = len(found) > limit
        cursor = self.cursors.make(list_name, page[-1].rank) if more else None
        data = b"[" + b",".join([entry.body for entry in page]) + b"]"
        return data, {**answer.meta, "count": len(page), "next_cursor": cursor}

    def _file(self, routed: RoutedRequest) -> Reply:
        token = routed.query.get("token", [""])[0]
        if routed.method == "GET" and self._links.is_valid(token, self._world.now()):
            return Reply(200, PDF, {"Content-Type": "application/pdf"})
        return Reply(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})


def _no_row(routed: RoutedRequest) -> RefusedError:
    if not routed.allowed:
        return not_found("path")
    return RefusedError(405, "INVALID_REQUEST_PARAMETERS", "METHOD_NOT_ALLOWED", "The path has no such method.")


def _list_name(routed: RoutedRequest) -> str:
    """Name the list that a cursor belongs to: its path and its filters."""
    filters = sorted((name, values) for name, values in routed.query.items() if name not in {"cursor", "limit"})
    return f"{routed.path} {filters}"


def _envelope(row: Endpoint[Any], data: bytes, meta: Mapping[str, Any], *, data_first: bool) -> bytes:
    if row.deprecated:
        return data
    if row.meta is None:
        return b'{"data":' + data + b"}"
    said = {attribute.name: meta.get(attribute.name) for attribute in attrs.fields(cast("Any", row.meta))}
    if row.ends_silently and said["next_cursor"] is None:
        del said["next_cursor"]
    shown = msgspec.json.encode(said)
    return (
        b'{"data":' + data + b',"meta":' + shown + b"}"
        if data_first
        else b'{"meta":' + shown + b',"data":' + data + b"}"
    )


def _made_up(row: Endpoint[Any]) -> Answer:
    """Answer a row that has no handler of its own: something of the right shape."""
    if row.result is None:
        return Nothing()
    meta = {"refreshed_at": stamp(START), "updated_at": stamp(START)}
    bodies = [encode(make_generic(row.result, seed), nulls=True) for seed in range(3)]
    if row.shape == "page":
        return Listing([Entry(rank, body, {}) for rank, body in enumerate(bodies)], meta)
    return Item(bodies[0], meta)


def _keys(body: bytes) -> Iterable[str]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
