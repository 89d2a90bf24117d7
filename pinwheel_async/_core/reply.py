"""From an HTTP answer to what the call promised, or to the error that says why not."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from attrs import field, frozen

from pinwheel_async._core.convert import decode, read_json
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.fields import Model, is_list
from pinwheel_async._core.page import ListMeta, Page
from pinwheel_async._core.shape import Decoded, Shape
from pinwheel_async._core.versions import as_object
from pinwheel_async._core.wire import Response
from pinwheel_async.errors import (
    ApiError,
    ConflictError,
    DecodeError,
    ErrorDetail,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnauthorizedError,
)

T = TypeVar("T")

_ERRORS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidRequestError,
    429: RateLimitError,
}


@frozen(kw_only=True)
class Reply(Generic[T]):
    """What came back from a call, with everything around it."""

    endpoint: str
    """Method and path template."""
    value: T = field(repr=False)
    """What the call returns."""
    meta: Model | None
    """The answer's `meta`, of the class that the endpoint documents; it holds `refreshed_at` where there is one."""
    drift: tuple[str, ...]
    """Where the answer was not as documented and was forgiven, such as `data[].title: null`."""
    response: Response
    """Status, headers and undecoded body."""


def read_reply(row: Endpoint[T], response: Response, *, version: str) -> Reply[T]:
    """Decode a final answer.

    Args:
        row: The endpoint that was called.
        response: Its answer.
        version: API version that was asked for; an answer that names another one is read as that.

    Raises:
        ApiError: The status is not a success.
        DecodeError: The body is not of the documented shape.
    """
    if not 200 <= response.status < 300:
        raise api_error(row.name, response)
    if row.result is None:
        return Reply(endpoint=row.name, value=cast("T", None), meta=None, drift=(), response=response)
    decoded = decode(_shape(row), response.body, response.version or version)
    if decoded.problems:
        raise DecodeError(where=row.name, paths=decoded.problems, request_id=response.request_id)
    return Reply(
        endpoint=row.name,
        value=cast("T", _value(row, decoded)),
        meta=decoded.meta,
        drift=decoded.forgiven,
        response=response,
    )


def _shape(row: Endpoint[Any]) -> Shape:
    if row.result is None:  # pragma: no cover  # the caller looked
        raise AssertionError
    return Shape(row.result, row.shape == "page", row.meta, row.lean, row.packed)


def _value(row: Endpoint[Any], decoded: Decoded) -> Any:
    if row.shape != "page":
        return decoded.data
    return Page(data=decoded.data, meta=decoded.meta or cast("Callable[[], ListMeta]", row.meta or ListMeta)())


def api_error(endpoint: str, response: Response, *, retry_after_s: float | None = None) -> ApiError:
    """Build the error of an answer that is no success; the body may be anything, as proxies answer, too."""
    body = _error_body(response.body)
    kind = _ERRORS.get(response.status) or (ServerError if response.status >= 500 else ApiError)
    return kind(
        endpoint=endpoint,
        status=response.status,
        type=_text(body.get("type")),
        code=_text(body.get("code")),
        message=_text(body.get("message")),
        details=_details(body.get("fields")),
        request_id=response.request_id,
        retry_after_s=retry_after_s,
    )


def _error_body(body: bytes) -> dict[str, Any]:
    return as_object(as_object(read_json(body)).get("error"))


def _details(fields: Any) -> list[ErrorDetail]:
    found = [as_object(one) for one in fields] if is_list(fields) else []
    return [ErrorDetail(_text(one.get("name")), _text(one.get("message"))) for one in found]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
