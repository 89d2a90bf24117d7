"""Requests that no row of the table describes, and what is added to requests that one does."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args, get_origin
from urllib.parse import unquote

import attrs
import msgspec
from attrs import evolve

from pinwheel_async._core.converter import encode
from pinwheel_async._core.endpoint import REPEATABLE_METHODS, Endpoint, query_pairs
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import FreshnessPaginationMeta, Page
from pinwheel_async._core.wire import Request
from pinwheel_async.errors import RequestError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+", re.ASCII)
_NAME = re.compile(r"(/(\{[A-Za-z_]{1,40}\}|v[0-9]{1,3}|[A-Za-z_.-]{1,60})){1,20}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)

OWN_HEADERS = frozenset({"x-api-secret", "authorization", "pinwheel-version", "host", "content-type"})
"""Headers that say who calls and what is sent: they follow from the client and the call."""

_CONNECTION_HEADERS = frozenset(
    {"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


class Extras:
    """What is added to each request of a client, encoded. No attrs class: tools that show fields would show tokens."""

    __slots__ = ("body", "headers", "query")

    def __init__(
        self, headers: Mapping[str, str], query: Mapping[str, tuple[str, ...]], body: Mapping[str, msgspec.Raw]
    ) -> None:
        self.headers = headers
        self.query = query
        """Encoded pairs by name; they take the place of those of the call."""
        self.body = body
        """Encoded fields of the body by name; they take the place of those of the call."""

    def __repr__(self) -> str:
        """Return the same for all additions."""
        return "<Extras>"

    def merged(self, later: "Extras") -> "Extras":
        """Return these with later ones, which win."""
        return Extras({**self.headers, **later.headers}, {**self.query, **later.query}, {**self.body, **later.body})

    def applied(self, request: Request) -> Request:
        """Return a request with the additions to its query and body; a GET or DELETE has no body to add to."""
        target, body = request.target, request.body
        if self.query:
            path, _, query = target.partition("?")
            kept = [pair for pair in query.split("&") if pair and unquote(pair.partition("=")[0]) not in self.query]
            pairs = [*kept, *[pair for added in self.query.values() for pair in added]]
            target = f"{path}?{'&'.join(pairs)}" if pairs else path
        if self.body and request.method in _WITH_BODY:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw]) if body is not None else {}
            body = msgspec.json.encode({**fields, **self.body})
        return evolve(request, target=target, body=body)


def make_extras(headers: object, query: object, body: object) -> Extras | RequestError:
    """Check and encode additions; the error is returned, since the frames on its way hold what was given."""
    try:
        return Extras(_headers(headers), _query(query), _fields(body))
    except RequestError as error:
        return RequestError(error.problems)


def raw_call(
    method: object, path: object, *, query: object, body: object, cast_to: object, name: object
) -> tuple[Endpoint[Any], Request] | RequestError:
    """Build row and request; the error is returned, since the frames on its way hold what was given."""
    try:
        row = _row(method, path, cast_to, name)
        pairs = [pair for pairs in _query(query).values() for pair in pairs]
        target = f"{path}?{'&'.join(pairs)}" if pairs else str(path)
        return row, Request(endpoint=row.name, method=row.method, target=target, body=_body(row.method, body))
    except RequestError as error:
        return RequestError(error.problems)


def _row(method: object, path: object, cast_to: object, name: object) -> Endpoint[Any]:
    if not isinstance(method, str) or method not in METHODS:
        raise RequestError([f"method must be one of {', '.join(METHODS)}"])
    if not isinstance(path, str) or not _is_path(path):
        cure = "such as /v1/accounts, percent-encoded, without host, query, '//' or '..'; the query goes in query"
        raise RequestError([f"path must be a path, {cure}"])
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise RequestError(["name must be a template of the path without ids, such as /v1/accounts/{account_id}"])
    is_page, model = _model(cast_to)
    return Endpoint(
        operation="request",
        method=method,
        path=name or "(raw)",
        result=model,
        shape="json" if model is None else "page" if is_page else "object",
        meta=FreshnessPaginationMeta if is_page else None,
        repeatable=method in REPEATABLE_METHODS,
    )


def _is_path(path: str) -> bool:
    segments = re.split(r"[/\\]", unquote(path))
    return bool(_PATH.fullmatch(path)) and not path.startswith("//") and not {".", ".."} & {*segments}


def _model(cast_to: object) -> tuple[bool, type[Model] | None]:
    """Return whether a page is wanted, and the class of the object or of its items."""
    is_page = get_origin(cast_to) is Page
    kind = get_args(cast_to)[0] if is_page else cast_to
    if kind is None or (isinstance(kind, type) and issubclass(kind, Model) and attrs.has(kind) and kind is not Page):
        return is_page, cast("type[Model] | None", kind)
    raise RequestError(["cast_to must be a model class, a page of one such as Page[Paystub], or None for plain JSON"])


def _query(query: object) -> dict[str, tuple[str, ...]]:
    return {name: tuple(query_pairs(name, value)) for name, value in _named("query", query) if value is not None}


def _fields(body: object) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(_encoded(f"extra_body[{name!r}]", value)) for name, value in _named("extra_body", body)}


def _headers(headers: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _named("extra_headers", headers):
        if not _HEADER.fullmatch(name):
            raise RequestError(["extra_headers must have names of headers"])
        if name.lower() in OWN_HEADERS | _CONNECTION_HEADERS:
            raise RequestError([f"extra_headers must not hold {name.lower()}: it follows from the client and the call"])
        if not (isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()):
            raise RequestError(
                [f"extra_headers must hold printable ASCII text; {name} has other {type(value).__name__}"]
            )
        found[name.lower()] = value
    return found


def _named(argument: str, given: object) -> Iterable[tuple[str, Any]]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise RequestError([f"{argument} must be a dict; {type(given).__name__} was given"])
    pairs: list[tuple[Any, Any]] = list(cast("Any", given).items())
    if not all(isinstance(name, str) and name for name, _ in pairs):
        raise RequestError([f"{argument} must have names that are text"])
    return pairs


def _body(method: str, body: object) -> bytes | None:
    if body is None:
        return None
    if method not in _WITH_BODY:
        raise RequestError([f"body must be None: a {method} has none"])
    return encode(body) if isinstance(body, Model) else _encoded("body", body)


def _encoded(argument: str, value: object) -> bytes:
    try:
        return encode(value, nulls=True)
    except Exception:  # noqa: BLE001, S110  # whatever it is, it holds the value
        pass
    raise RequestError([f"{argument} must be plain JSON values or a model; {type(value).__name__} cannot be encoded"])
