"""Every exception of the library, each with the facts it knows as attributes.

```
PinwheelError
├─ ConfigurationError         a client that could not work: no secret, an unknown environment      (also ValueError)
├─ RequestError               arguments the server would refuse; nothing was sent                  (also ValueError)
├─ ClosedError                the client is closed, or was never opened                            (also RuntimeError)
├─ TransportError             no reply came back
│  └─ DeadlineError           … in time                                                            (also TimeoutError)
├─ ApiError                   a reply that is not a success
│  ├─ InvalidRequestError     400, 422
│  ├─ UnauthorizedError       401
│  ├─ ForbiddenError          403
│  ├─ NotFoundError           404
│  ├─ ConflictError           409
│  ├─ RateLimitError          429
│  └─ ServerError             5xx
├─ DecodeError                a reply not of the documented shape: paths, never values
├─ CursorError                the server handed out the same cursor twice; the list would never end
├─ WebhookError               a webhook body that is no delivery for us
│  ├─ SignatureError          not signed with any of our secrets, or outside the age limit
│  └─ EnvelopeError           authentic, but not an event
├─ InboxError                 the inbox could not store or read deliveries
├─ SinkError                  a sync's sink could not store what was fetched
│  └─ SupersededError         a newer reading of the same data is stored already
└─ SyncError                  accounts that a sync could not finish                                (also ExceptionGroup)
```

No message, repr or traceback of these holds a payload value, a secret, a cursor or a signed URL. What the server wrote
for humans is in `ApiError.message` and `ApiError.details`, because it may repeat what was sent: log it only if you may.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import field, frozen

_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class PinwheelError(Exception):
    """The base of every error that this library raises."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, so that errors cross process borders whatever their arguments were."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[PinwheelError], args: tuple[Any, ...], state: dict[str, Any]) -> PinwheelError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(PinwheelError, ValueError):
    """The client cannot work with these settings."""


class RequestError(PinwheelError, ValueError):
    """The server would refuse this request, so it was not sent.

    Attributes:
        problems: One sentence per argument that is wrong: the name of the argument and the cure, never its value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("; ".join(self.problems))


class ClosedError(PinwheelError, RuntimeError):
    """The client is closed; open it with `async with`."""


class TransportError(PinwheelError):
    """No reply came back.

    Attributes:
        endpoint: Method and path template, such as `GET /v1/accounts/{account_id}`.
        reason: The kind of trouble, as the name of the exception that the network layer raised.
        attempts: How many times the request was tried.
        sent: Whether the server may have received it. A call that creates something and may have been received was
            not repeated: look whether the thing exists before calling again.
    """

    def __init__(self, *, endpoint: str, reason: str, attempts: int, sent: bool) -> None:
        self.endpoint = endpoint
        self.reason = reason
        self.attempts = attempts
        self.sent = sent
        super().__init__(f"{endpoint} got no reply: {reason}, after {_times(attempts)}")


class DeadlineError(TransportError, TimeoutError):
    """No reply came back before the deadline over all attempts."""


@frozen
class ErrorDetail:
    """One validation problem as the server words it, for humans only; its structure may change at any time."""

    name: str | None
    """Request field, as a dotted path. Null when the server does not say."""
    message: str | None = field(default=None, repr=False)
    """What is wrong with it. May repeat what was sent."""


class ApiError(PinwheelError):
    """The server answered, and not with success.

    Attributes:
        endpoint: Method and path template, such as `GET /v1/accounts/{account_id}`.
        status: HTTP status.
        type: Broad class, such as `INVALID_REQUEST_PARAMETERS`; None when the answer was not the API's JSON.
        code: Specific error, stable for programs; an open list.
        message: The server's text for humans. May repeat what was sent, so it is no part of `str()`.
        details: Validation details for humans, likewise no part of `str()`.
        request_id: The server's id of the exchange, for its support.
        retry_after_s: Seconds the server asks to wait, when it does.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        status: int,
        type: str | None = None,
        code: str | None = None,
        message: str | None = None,
        details: Iterable[ErrorDetail] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.details: tuple[ErrorDetail, ...] = tuple(details)
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        words = [word for word in (type, code) if word and _WORD.fullmatch(word)]
        text = " ".join([f"{endpoint} answered {status}", *words])
        if retry_after_s is not None:
            text += f", retry after {retry_after_s:g} s"
        if request_id and _WORD.fullmatch(request_id):
            text += f" (request {request_id})"
        super().__init__(text)


class InvalidRequestError(ApiError):
    """400 or 422: the request is wrong; repeating it will not help."""


class UnauthorizedError(ApiError):
    """401: the secret is missing, wrong, or of another environment."""


class ForbiddenError(ApiError):
    """403: understood, but not allowed for this key."""


class NotFoundError(ApiError):
    """404: no such resource."""


class ConflictError(ApiError):
    """409: the resource is in another state than the request needs."""


class RateLimitError(ApiError):
    """429: too many requests; `retry_after_s` says how long to wait, when the server says."""


class ServerError(ApiError):
    """5xx: the server or a proxy before it failed."""


class DecodeError(PinwheelError):
    """A reply is not of the documented shape.

    Attributes:
        where: The endpoint (method and path template) or event name that was decoded.
        paths: Where and what, such as `data[3].pay_date: not a date`. Never a value.
        request_id: The server's id of the exchange, when there was one.
    """

    def __init__(self, *, where: str, paths: Sequence[str], request_id: str | None = None) -> None:
        self.where = where
        self.paths: tuple[str, ...] = tuple(paths)
        self.request_id: str | None = request_id if request_id and _WORD.fullmatch(request_id) else None
        shown = "; ".join(self.paths[:5]) + ("; …" if len(self.paths) > 5 else "")
        super().__init__(f"{where} is not of the documented shape: {shown}")


class CursorError(PinwheelError):
    """The server handed out the same cursor twice, so the list would never end.

    Attributes:
        endpoint: Method and path template.
        pages: How many pages had been read.
    """

    def __init__(self, *, endpoint: str, pages: int) -> None:
        self.endpoint = endpoint
        self.pages = pages
        super().__init__(f"{endpoint} handed out the same cursor twice, after {pages} pages")


class WebhookError(PinwheelError):
    """A webhook body is no delivery for this receiver."""


class SignatureError(WebhookError):
    """The webhook body is not signed with any of the secrets, or is outside the age limit."""


class EnvelopeError(WebhookError):
    """The webhook body is authentic, but not an event."""


class InboxError(PinwheelError):
    """The inbox could not store or read deliveries; nothing has changed.

    Attributes:
        reason: The kind of trouble, as the name of the exception that the storage raised.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{message}: {reason}")


class SinkError(PinwheelError):
    """The sink could not store what was fetched; nothing after this point is stored.

    Attributes:
        reason: The kind of trouble, as the name of the exception that the storage raised.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{message}: {reason}")


class SupersededError(SinkError):
    """A newer reading of the same product of the same account is stored: this page was not."""

    def __init__(self) -> None:
        super().__init__("the page was not stored", reason="a newer reading is there")


class SyncError(ExceptionGroup[PinwheelError], PinwheelError):
    """Accounts that a sync could not finish; one leaf per account and product."""

    def __init__(self, message: str, exceptions: Sequence[PinwheelError], /) -> None:
        ExceptionGroup.__init__(self, message, exceptions)

    def derive(self, excs: Sequence[Any], /) -> Any:
        """Keep the class when the group is split."""
        return SyncError(self.message, excs)


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
