"""An endpoint as a row of data, and how a row and some arguments become a request."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from attrs import frozen

from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async._core.page import ListMeta, Page, PaginationMeta
from pinwheel_async._core.wire import Auth, Request
from pinwheel_async.errors import RequestError

T = TypeVar("T")
Item = TypeVar("Item", bound=Model)

Scalar: TypeAlias = str | int | bool | date | datetime
Query: TypeAlias = Mapping[str, Scalar | Sequence[str] | None]

REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE", "PATCH"})


@frozen(kw_only=True)
class Endpoint(Generic[T]):
    """One row of the API table; `T` is what a call returns."""

    operation: str
    """Name of the operation, such as `list_paystubs`."""
    method: str
    path: str
    """Path template, such as `/v1/accounts/{account_id}/paystubs`."""
    result: type[Model] | None
    """Class of the object, or of one item of a list; None where the answer holds nothing."""
    shape: Literal["page", "object", "nothing"]
    meta: type[Model] | None = None
    """Class of the answer's `meta`; None where there is none."""
    query: tuple[str, ...] = ()
    """Names of the query parameters."""
    repeated: tuple[str, ...] = ()
    """Those of them that take several values, each sent as a pair of its own."""
    body: type[Model] | None = None
    """Class of the request body; None where there is none."""
    auth: Auth = "secret"
    repeatable: bool = True
    """Whether the call may be sent twice without making something twice."""
    deprecated: bool = False
    """Whether only the API's oldest documentation has it."""
    lean: bool = False
    """Whether the caller only reads values: twins of the models will do."""
    packed: bool = False
    """Whether the caller reads nothing: the data may stay as they are on the wire."""

    @property
    def name(self) -> str:
        """Method and path template: how the endpoint is named in logs and errors."""
        return f"{self.method} {self.path}"

    def request(
        self,
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        body: Model | None = None,
        bearer: str | None = None,
        version: str | None = None,
    ) -> Request:
        """Build the request: fill and encode the path, drop what is None, repeat lists, encode the body.

        Raises:
            RequestError: A value that the server would refuse, or that cannot be sent at all.
        """
        target = self.path.format_map({name: _path_value(name, value) for name, value in (path or {}).items()})
        pairs = [
            f"{name}={_quoted(name, text)}"
            for name, value in (query or {}).items()
            for text in _query_texts(name, value, repeated=name in self.repeated)
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


def page(
    operation: str,
    path: str,
    item: type[Item],
    *,
    meta: type[ListMeta] = PaginationMeta,
    query: tuple[str, ...] = ("cursor", "limit"),
    repeated: tuple[str, ...] = (),
    auth: Auth = "secret",
    deprecated: bool = False,
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
        auth=auth,
        deprecated=deprecated,
    )


def item(
    operation: str,
    method: str,
    path: str,
    result: type[Item],
    *,
    meta: type[Model] | None = None,
    query: tuple[str, ...] = (),
    body: type[Model] | None = None,
    auth: Auth = "secret",
    deprecated: bool = False,
) -> Endpoint[Item]:
    """Describe a call that answers one object. A POST is taken to create it, so it is not repeatable."""
    return Endpoint(
        operation=operation,
        method=method,
        path=path,
        result=result,
        shape="object",
        meta=meta,
        query=query,
        body=body,
        auth=auth,
        repeatable=method in REPEATABLE_METHODS,
        deprecated=deprecated,
    )


def nothing(operation: str, method: str, path: str, *, body: type[Model] | None = None) -> Endpoint[None]:
    """Describe an action that answers nothing and may be repeated."""
    return Endpoint(operation=operation, method=method, path=path, result=None, shape="nothing", body=body)


def _path_value(name: str, value: str) -> str:
    """Percent-encode one path segment; `end_user_id` is trimmed, as the server trims it."""
    text = value.strip() if name == "end_user_id" else value
    if text in {"", ".", ".."}:
        raise RequestError([f"{name} must be an id, not empty, '.' or '..'"])
    return _quoted(name, text)


def _query_texts(name: str, value: Scalar | Sequence[str] | None, *, repeated: bool) -> Sequence[str]:
    if value is None:
        return ()
    if isinstance(value, str | int | date):
        if repeated:
            raise RequestError([f"{name} must be a list, such as [value], even for one value"])
        return (_query_text(name, value),)
    if not repeated:
        raise RequestError([f"{name} takes one value, not several"])
    return value


def _query_text(name: str, value: Scalar) -> str:
    if name == "limit" and not (isinstance(value, int) and value is not True and 1 <= value <= 100):
        raise RequestError(["limit must be a whole number from 1 to 100"])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _moment(name, value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _moment(name: str, value: datetime) -> str:
    if name.endswith("_date"):  # a datetime is a date to the type checkers, but not to the server
        raise RequestError([f"{name} must be a date, such as moment.date()"])
    if value.utcoffset() is None:
        raise RequestError([f"{name} must be an aware datetime, such as datetime.now(UTC)"])
    return value.isoformat()


def _encoded(body: Model) -> bytes:
    try:
        return encode(body)
    except UnicodeEncodeError:
        pass
    # Raised here, outside the handler, because the cause holds the value.
    raise RequestError(["the body must hold only text that UTF-8 can encode"])


def _quoted(name: str, text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        pass
    # Raised here, outside the handler, because the cause holds the value.
    raise RequestError([f"{name} must be text that UTF-8 can encode"])
