"""An endpoint as a row of data, and how a row and some arguments become a request."""

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

from attrs import Factory, evolve, field, frozen

from pinwheel_async._core.arguments import Id, id_text, read, read_several
from pinwheel_async._core.convert import Shape
from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import ListMeta, Page, PaginationMeta
from pinwheel_async._core.wire import Auth, Request
from pinwheel_async.errors import RequestError

T = TypeVar("T")
Item = TypeVar("Item", bound=Model)

Scalar: TypeAlias = Id | int | bool | date | datetime
Query: TypeAlias = Mapping[str, Scalar | Collection[str] | None]
Kinds: TypeAlias = Mapping[str, Any]

ANY_TEXT: Kinds = MappingProxyType({})

_LIMIT = "a whole number from 1 to 100"

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII).fullmatch

REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE", "PATCH"})


def _answer_of(row: "Endpoint[Any]") -> Shape | None:
    return None if row.result is None else Shape(row.result, row.shape == "page", row.meta, row.ends_silently)


@frozen(kw_only=True, eq=False)
class Endpoint(Generic[T]):
    """One row of the API table; `T` is what a call returns. There is one of each, compared by identity."""

    operation: str
    """Name of the operation, such as `list_paystubs`."""
    method: str
    path: str
    """Path template, such as `/v1/accounts/{account_id}/paystubs`."""
    result: type[Model] | None
    """Class of the object, or of one item of a list; None where the answer holds nothing."""
    shape: Literal["page", "object", "nothing", "json"]
    """What the answer holds; "json" is whatever JSON there is, or nothing."""
    meta: type[Model] | None = None
    """Class of the answer's `meta`; None where there is none."""
    query: tuple[str, ...] = ()
    """Names of the query parameters."""
    repeated: tuple[str, ...] = ()
    """Those of them that take several values, each sent as a pair of its own."""
    kinds: Kinds = ANY_TEXT
    """Types of those that take something else than any text, or of each of their values. `limit` needs none."""
    body: type[Model] | None = None
    """Class of the request body; None where there is none."""
    auth: Auth = "secret"
    repeatable: bool = True
    """Whether it does no harm to send the call twice: it makes nothing, or what may be there twice, as a Link token."""
    deprecated: bool = False
    """Whether only the API's oldest documentation has it."""
    ends_silently: bool = False
    """Whether the last page of the list has no `next_cursor`, instead of a null, by its documentation."""

    name: str = field(init=False, default=Factory(lambda row: f"{row.method} {row.path}", takes_self=True))
    """Method and path template: how the endpoint is named in logs and errors."""
    answer: Shape | None = field(init=False, default=Factory(_answer_of, takes_self=True))
    """What the answer should hold, for decoding; None where it holds nothing, or whatever there is."""

    def request(
        self,
        *,
        path: Mapping[str, Id] | None = None,
        query: Query | None = None,
        body: Model | RequestError | None = None,
        bearer: str | RequestError | None = None,
        version: str | None = None,
    ) -> Request:
        """Build the request: fill and encode the path, drop what is None, repeat lists, encode the body.

        Raises:
            RequestError: A value that the server would refuse, or that cannot be sent at all.
        """
        if isinstance(body, RequestError):
            raise body
        if isinstance(bearer, RequestError):
            raise bearer
        target = self.path
        if path:
            target = target.format_map({name: _path_value(name, value) for name, value in path.items()})
        if query:
            pairs = [
                f"{name}={_quoted(name, text)}"
                for name, value in query.items()
                if value is not None
                for text in self._query_texts(name, value)
            ]
            if pairs:
                target = f"{target}?{'&'.join(pairs)}"
        return Request(
            endpoint=self.name,
            method=self.method,
            target=target,
            body=None if body is None else _encoded(body),
            bearer=bearer,
            version=version,
        )

    def next_page(self, first: Request, cursor: str) -> Request:
        """Return the request of the page after the one that gave a cursor.

        Raises:
            RequestError: The cursor, which the server chooses, cannot be sent.
        """
        joint = "&" if "?" in first.target else "?"
        return evolve(first, target=f"{first.target}{joint}cursor={_quoted('cursor', cursor)}")

    def _query_texts(self, name: str, value: object) -> Collection[str]:
        kind: Any = self.kinds.get(name, str)
        problems: list[str] = []
        texts: Collection[str] = ()
        if name == "limit":
            limit: int | None = read(int, name, value, problems, _LIMIT)
            if limit is not None and not 1 <= limit <= 100:
                problems.append(f"limit must be {_LIMIT}")
            texts = (str(limit),)
        elif name in self.repeated:
            texts = read_several(kind, name, value, problems) or ()
        else:
            texts = (_query_text(read(kind, name, value, problems)),)
        if problems:
            raise RequestError(problems)
        return texts


def page(
    operation: str,
    path: str,
    item: type[Item],
    *,
    meta: type[ListMeta] | None = PaginationMeta,
    query: tuple[str, ...] = ("cursor", "limit"),
    repeated: tuple[str, ...] = (),
    kinds: Kinds = ANY_TEXT,
    auth: Auth = "secret",
    deprecated: bool = False,
    ends_silently: bool = False,
) -> Endpoint[Page[Item]]:
    """Describe a list."""
    return Endpoint(
        operation=operation,
        method="GET",
        path=path,
        result=item,
        shape="page",
        meta=meta,
        query=query,
        repeated=repeated,
        kinds=kinds,
        auth=auth,
        deprecated=deprecated,
        ends_silently=ends_silently,
    )


def item(
    operation: str,
    method: str,
    path: str,
    result: type[Item],
    *,
    meta: type[Model] | None = None,
    query: tuple[str, ...] = (),
    kinds: Kinds = ANY_TEXT,
    body: type[Model] | None = None,
    auth: Auth = "secret",
    repeatable: bool = False,
    deprecated: bool = False,
) -> Endpoint[Item]:
    """Describe a call that answers one object. A POST is taken to create it, so it must be said to be *repeatable*."""
    return Endpoint(
        operation=operation,
        method=method,
        path=path,
        result=result,
        shape="object",
        meta=meta,
        query=query,
        kinds=kinds,
        body=body,
        auth=auth,
        repeatable=repeatable or method in REPEATABLE_METHODS,
        deprecated=deprecated,
    )


def nothing(operation: str, method: str, path: str, *, body: type[Model] | None = None) -> Endpoint[None]:
    """Describe an action that answers nothing and may be repeated."""
    return Endpoint(operation=operation, method=method, path=path, result=None, shape="nothing", body=body)


def query_pairs(name: str, value: object) -> list[str]:
    """Return the encoded pairs of a parameter that is in no row; a list is repeated.

    Raises:
        RequestError: A value that cannot be sent.
    """
    values: list[object] = [*cast("list[object]", value)] if isinstance(value, list | tuple) else [value]
    pairs: list[str] = []
    for element in values:
        if not isinstance(element, str | int | date):
            kind = type(element).__name__
            raise RequestError([f"query must hold text, whole numbers, days or lists of them; {kind} was given"])
        pairs.append(f"{_quoted('query', name)}={_quoted('query', _query_text(element))}")
    return pairs


def _path_value(name: str, value: object) -> str:
    """Percent-encode one path segment; `end_user_id` is trimmed, as the server trims it."""
    if type(value) is str and value not in {"", ".", ".."} and _UNRESERVED(value):
        return value  # as nearly always, and then the rest would be a tenth of a call's own time
    text, problem = id_text(name, value)
    if name == "end_user_id":
        text = text.strip()
    if problem is None and text in {"", ".", ".."}:
        problem = f"{name} must be an id, not empty, '.' or '..'"
    if problem is not None:
        raise RequestError([problem])
    return _quoted(name, text)


def _query_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _encoded(body: Model) -> bytes:
    try:
        return encode(body)
    except UnicodeEncodeError:
        pass
    # Raised here, outside the handler, because the cause holds the value.
    raise RequestError(["the body must hold only text that UTF-8 can encode"])


def _quoted(name: str, text: str) -> str:
    if _UNRESERVED(text):  # as ids and numbers are; looking takes a fifth of the time that quoting does
        return text
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        pass
    # Raised here, outside the handler, because the cause holds the value.
    raise RequestError([f"{name} must be text that UTF-8 can encode"])
