"""Replies: an HTTP answer becomes what the call promised, or the error that says why not."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from pinwheel_async._core.convert import Decoded, DecodeTo, decode, read_json
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.fields import is_list
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import ListMeta, Page, PageWithoutEnd, PaginationMeta
from pinwheel_async._core.parse import parse_plainly
from pinwheel_async._core.versions import as_object
from pinwheel_async._core.wire import Request, Response
from pinwheel_async._privacy import Discreet
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

PAGE_SIZE = 25
"""Items of a page unless a limit is given, by the API's documentation and in all recorded answers."""

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
class Reply(Discreet, Generic[T]):
    """What came back from a call, with everything around it."""

    endpoint: str
    """Method and path template."""
    value: T = field(repr=False)
    """What the call returns; None if it failed."""
    meta: Model | None
    """The answer's `meta`, of the class that the endpoint documents; it holds `refreshed_at` where there is one."""
    drift: tuple[str, ...]
    """Where the answer was not as documented and was forgiven, such as `data[].title: null`."""
    response: Response
    """Status, headers and undecoded body."""
    error: ApiError | DecodeError | None = None
    """What the call raised for this answer, if it failed."""
    refused: tuple[DecodeError, ...] = ()
    """One error for each item that could not be read and was left out, if the call asked for that."""


def read_reply(
    row: Endpoint[T],
    response: Response,
    *,
    version: str,
    request: Request | None = None,
    decode_to: DecodeTo = "models",
    apart: bool = False,
) -> Reply[T]:
    """Decode a final answer as `read_answer` does, and return everything around it."""
    return reply_of(
        row,
        response,
        read_answer(row, response, version=version, request=request, decode_to=decode_to, apart=apart),
    )


def reply_of(row: Endpoint[T], response: Response, answer: Decoded) -> Reply[T]:
    """Return the reply of a call that succeeded."""
    return Reply(
        endpoint=row.name,
        value=cast("T", answer.data),
        meta=answer.meta,
        drift=answer.drift,
        response=response,
        refused=refusals(row, response, answer),
    )


def read_answer(
    row: Endpoint[Any],
    response: Response,
    *,
    version: str,
    request: Request | None = None,
    decode_to: DecodeTo = "models",
    apart: bool = False,
    keep_json: bool = False,
) -> Decoded:
    """Decode a final answer; its data are what the call returns.

    Args:
        row: The endpoint that was called.
        response: Its answer.
        version: API version that was asked for; an answer that names another one is read as that.
        request: What was asked for; a page that is full by its limit must say whether there is another one.
        decode_to: How far to decode its data; with structs or bytes, these stand where the row says models.
        apart: Whether an item of a list that cannot be read is left out, instead of refusing the whole list.
        keep_json: As for `decode`.

    Raises:
        ApiError: The status is not a success.
        DecodeError: The body is not of the documented shape.
    """
    if not 200 <= response.status < 300:
        raise api_error(row.name, response)
    if row.shape == "json":
        value, problem = parse_plainly(response.body)
        if problem is not None:
            raise _refusal(row, response, [problem])
        return Decoded(value)
    if row.answer is None:
        if problem := _no_success(response):
            raise _refusal(row, response, [problem])
        return Decoded()
    answer = decode(row.answer, response.body, response.version or version, decode_to, apart=apart, keep_json=keep_json)
    problems = answer.problems
    if not answer.tells_end and len(answer.data) + len(answer.refused) >= _page_size(request):
        # Whoever took it for the last page would take what comes after it for deleted.
        problems = ("meta.next_cursor: missing, though the page is full",)
    if problems:
        raise _refusal(row, response, problems)
    if row.shape == "page":
        kind = cast("type[ListMeta] | None", row.meta)
        make = Page if answer.tells_end else PageWithoutEnd
        answer.data = make(data=answer.data, meta=answer.meta or _empty_meta(kind))
    return answer


def refusals(row: Endpoint[Any], response: Response, answer: Decoded) -> tuple[DecodeError, ...]:
    """Return one error for each item that could not be read and was left out."""
    return tuple([_refusal(row, response, paths) for paths in answer.refused.values()]) if answer.refused else ()


def _refusal(row: Endpoint[Any], response: Response, paths: Sequence[str]) -> DecodeError:
    return DecodeError(where=row.name, paths=paths, request_id=response.request_id, response=response)


def _no_success(response: Response) -> str | None:
    """Say why the answer to an action does not mean that it was done, if it does not.

    Actions cannot be undone and answer nothing to look at, so only what the API documents is believed: 204, no body,
    or 200 with an object. The login page of a network or the error of a proxy is no success.
    """
    if response.status == 204:
        return None
    if response.status != 200:
        return f"status: {response.status}, neither 200 nor 204"
    body = read_json(response.body)
    if not isinstance(body, dict):
        return "(body): not a JSON object"
    return "(body): an error" if "error" in body else None


def failed_reply(row: Endpoint[T], response: Response, error: ApiError | DecodeError) -> Reply[T]:
    """Return the reply of a call that failed by its answer."""
    return Reply(endpoint=row.name, value=cast("T", None), meta=None, drift=(), response=response, error=error)


def _empty_meta(kind: type[ListMeta] | None) -> ListMeta:
    """Return what stands for the `meta` of an answer that has none."""
    if kind is None or not issubclass(kind, PaginationMeta):
        return ListMeta()
    return kind(next_cursor=None)


def _page_size(request: Request | None) -> int:
    limits = parse_qs(urlsplit(request.target).query).get("limit", []) if request else []
    return int(limits[-1]) if limits and limits[-1].isdecimal() else PAGE_SIZE


def api_error(endpoint: str, response: Response, *, retry_after_s: float | None = None) -> ApiError:
    """Build the error of an answer that is no success; the body may be anything, as proxies answer, too."""
    body = _error_body(response.body)
    kind = _ERRORS.get(response.status) or (ServerError if response.status >= 500 else ApiError)
    return kind(
        endpoint=endpoint,
        status=response.status,
        type=_text(body.get("type")),
        code=_text(body.get("code")),
        server_message=_text(body.get("message")),
        details=_details(body.get("fields")),
        request_id=response.request_id,
        retry_after_s=retry_after_s,
        response=response,
    )


def pause_error(cause: ApiError, *, unsent: str | None = None, retry_after_s: float | None = None) -> RateLimitError:
    """Build the error of calls that are not sent, because of what the server answered to another one.

    Args:
        cause: The answer to the other; what it says to humans is left out, as it may repeat what the other sent.
        unsent: The call that is not sent, as method and path template.
        retry_after_s: Seconds until calls are sent again.
    """
    return RateLimitError(
        unsent=unsent,
        endpoint=cause.endpoint,
        status=cause.status,
        type=cause.type,
        code=cause.code,
        request_id=cause.request_id,
        retry_after_s=retry_after_s,
    )


def _error_body(body: bytes) -> dict[str, Any]:
    return as_object(as_object(read_json(body)).get("error"))


def _details(fields: Any) -> list[ErrorDetail]:
    found = [as_object(detail) for detail in fields] if is_list(fields) else []
    return [ErrorDetail(_text(detail.get("name")), _text(detail.get("message"))) for detail in found]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
