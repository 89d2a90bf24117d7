"""Exceptions of the library, each with the facts it knows as attributes.

```
PinwheelError
├─ ConfigurationError         a client that could not work: no secret, a wrong setting      (also ValueError, TypeError)
├─ RequestError               arguments the server would refuse; nothing was sent           (also ValueError, TypeError)
├─ ClosedError                the client is closed, or was never opened                     (also RuntimeError)
├─ TransportError             no reply came back
│  └─ DeadlineError           … in time                                                     (also TimeoutError)
├─ ApiError                   a reply that is not a success
│  ├─ InvalidRequestError     400, 422
│  ├─ UnauthorizedError       401
│  ├─ ForbiddenError          403
│  ├─ NotFoundError           404
│  ├─ ConflictError           409
│  ├─ RateLimitError          429
│  └─ ServerError             5xx
├─ DecodeError                a reply not of the documented shape: paths, never values
├─ CursorError                the list would never end: the server goes on without anything new
├─ WebhookError               a webhook body that is no delivery for us
│  ├─ SignatureError          not signed with any of our secrets, or outside the age limit
│  └─ EnvelopeError           authentic, but not an event
├─ InboxError                 the inbox could not store or read deliveries
├─ SinkError                  a sync's sink could not store what was fetched
│  ├─ SupersededError         a newer reading of the same data is stored already
│  └─ UnconfirmedRemovalError a reading would remove much, and no second one agrees
└─ SyncError                  accounts that a sync could not finish                         (also ExceptionGroup)
```

No message, repr or traceback of these holds a payload value, a secret, a cursor or a signed URL. What the server wrote
for humans is in `ApiError.server_message` and `ApiError.details`, because it may repeat what was sent: log it only if
you may. No attribute is called `message` or `detail`, which Sentry would show in place of the text.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from pinwheel_async._privacy import UUID, Discreet
from pinwheel_async._response import Response

CODE = re.compile(r"(?=.{1,64}\Z)[A-Z]+(?:_[A-Z]+)+", re.ASCII)
"""Types and codes of the server that may stand in messages and logs: words in capitals, as all documented ones are. A
number, a name or a word of any other form may be a value."""

_WORDS = {"type": CODE, "code": CODE, "request_id": UUID}
_PROSE: dict[str, Any] = {"server_message": None, "details": (), "response": None}


def storable_state(error: "PinwheelError") -> dict[str, Any]:
    """Return the attributes of an error as a store or a log may have them: without what may repeat what was sent."""
    kept = {name: _PROSE.get(name, value) for name, value in vars(error).items()}
    return {name: value for name, value in kept.items() if name not in _WORDS} | {
        name: loggable(kept[name], form) for name, form in _WORDS.items() if name in kept
    }


def loggable(text: str | None, form: re.Pattern[str]) -> str | None:
    """Return a word of the server if it has the form of the documented ones, else None."""
    return text if text and form.fullmatch(text) else None


class PinwheelError(Exception):
    """The base of every error that this library raises."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, so that errors cross process borders; the server's text for humans is left out."""
        return _restore, (type(self), self.args, storable_state(self))

    def __copy__(self) -> "PinwheelError":
        """Copy with everything, within this process."""
        return _restore(type(self), self.args, vars(self))


def _restore(kind: type[PinwheelError], args: tuple[Any, ...], state: dict[str, Any]) -> PinwheelError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(PinwheelError, ValueError, TypeError):
    """The client cannot work with these settings."""


class RequestError(PinwheelError, ValueError, TypeError):
    """The server would refuse this request, so it was not sent.

    All problems come in one error, wrong values and wrong types alike, so it is both `ValueError` and `TypeError`.

    Attributes:
        problems: One sentence per argument that is wrong: its name, the cure, and the type of what was given where that
            is wrong; never its value.
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
        reason: The kind of trouble, as the name of the exception that the network layer raised, and what is known of
            it, such as `ClientConnectorError (ECONNREFUSED)`.
        attempts: How many times the request was tried.
        sent: Whether the server may have received it. A call that creates something and may have been received was
            not repeated: look whether the thing exists before calling again.
        host: Host, and port if one was given, that was called; None for a signed link, which the server chose.
    """

    host: str | None = None

    def __init__(self, *, endpoint: str, reason: str, attempts: int, sent: bool, host: str | None = None) -> None:
        self.endpoint = endpoint
        self.reason = reason
        self.attempts = attempts
        self.sent = sent
        self.host = host
        source = "no reply" if host is None else f"no reply from {host}"
        super().__init__(f"{endpoint} got {source}: {reason}, after {_times(attempts)}")


class DeadlineError(TransportError, TimeoutError):
    """No reply came back before the deadline over all attempts, or the client's own limits left no time to ask.

    Attributes:
        wait_s: Where `reason` is `requests_per_s`, `pace` or `concurrency`, the client's own settings, nothing was
            sent: the seconds until its turn would have come under that rate, or that it waited in vain for a slot.
            Otherwise None.
    """

    wait_s: float | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        reason: str,
        attempts: int,
        sent: bool,
        host: str | None = None,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(endpoint=endpoint, reason=reason, attempts=attempts, sent=sent, host=host)
        if wait_s is None:
            return
        self.wait_s = wait_s
        if reason != "concurrency":
            why = f"under the client's own {reason} its turn would have come after {wait_s:.1f} s"
        else:
            why = f"under the client's own {reason} no slot came free for {wait_s:.1f} s"
        self.args: tuple[Any, ...] = (
            f"{endpoint} was not sent: {why}; give it more timeout_s, or let it wait in background()",
        )


@frozen(repr=False)
class ErrorDetail(Discreet):
    """One validation problem as the server words it, for humans only; its structure may change at any time."""

    name: str | None
    """Request field, as a dotted path. Null when the server does not say."""
    message: str | None = None
    """What is wrong with it. May repeat what was sent."""


class ApiError(PinwheelError):
    """The server answered, and not with success.

    Attributes:
        endpoint: Method and path template, such as `GET /v1/accounts/{account_id}`.
        status: HTTP status.
        type: Broad class, such as `INVALID_REQUEST_PARAMETERS`; None when the answer was not the API's JSON.
        code: Specific error, stable for programs; an open list.
        server_message: The server's text for humans. May repeat what was sent, so it is no part of `str()` or a pickle.
        details: Validation details for humans, likewise.
        request_id: The server's id of the exchange, for its support.
        retry_after_s: Seconds the server asks to wait, when it does.
        response: Status, headers and undecoded body; None after the error was pickled. Its repr shows nothing
            of them: what it holds belongs in no log.
    """

    response: Response | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        status: int,
        type: str | None = None,
        code: str | None = None,
        server_message: str | None = None,
        details: Iterable[ErrorDetail] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
        response: Response | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.status = status
        self.type = type
        self.code = code
        self.server_message = server_message
        self.details: tuple[ErrorDetail, ...] = tuple(details)
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.response = response
        words = filter(None, (loggable(type, CODE), loggable(code, CODE)))
        text = " ".join([f"{endpoint} answered {status}", *words])
        if retry_after_s is not None:
            text += f", retry after {retry_after_s:g} s"
        if loggable(request_id, UUID):
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
    """429: too many requests; `retry_after_s` says how long to wait, when the server says.

    It is also raised, without sending anything, where a pause that such an answer (or a 503) to another call began
    lasts longer than the call may: then the attributes are that answer's, without its texts for humans, and
    `retry_after_s` are the seconds that the pause still lasts.

    Attributes:
        unsent: The call that was not sent, as method and path template; None when the answer was to the call itself.
    """

    unsent: str | None = None

    def __init__(self, *, unsent: str | None = None, **answer: Any) -> None:
        super().__init__(**answer)
        self.unsent = unsent
        if unsent is not None:
            self.args: tuple[Any, ...] = (f"{unsent} was not sent, because {self}",)


class ServerError(ApiError):
    """5xx: the server or a proxy before it failed."""


class DecodeError(PinwheelError):
    """A reply is not of the documented shape.

    Attributes:
        where: The endpoint (method and path template) or event name that was decoded.
        paths: Where and what, such as `data[3].pay_date: not a date`. Never a value.
        request_id: The server's id of the exchange, when there was one.
        response: Status, headers and undecoded body of an answer; None where something else was decoded, or after the
            error was pickled. Its repr shows nothing of them: what it holds belongs in no log.
    """

    response: Response | None = None

    def __init__(
        self, *, where: str, paths: Sequence[str], request_id: str | None = None, response: Response | None = None
    ) -> None:
        self.where = where
        self.response = response
        self.paths: tuple[str, ...] = tuple(paths)
        self.request_id: str | None = loggable(request_id, UUID)
        shown = "; ".join(self.paths[:5]) + ("; …" if len(self.paths) > 5 else "")
        super().__init__(f"{where} is not of the documented shape: {shown}")


class CursorError(PinwheelError):
    """The list would never end: the server handed out a cursor twice, or page after page without anything new.

    Attributes:
        endpoint: Method and path template.
        pages: How many pages had been read.
    """

    def __init__(self, *, endpoint: str, pages: int) -> None:
        self.endpoint = endpoint
        self.pages = pages
        super().__init__(f"{endpoint} would never end: nothing new came any more, after {pages} pages")


class WebhookError(PinwheelError):
    """A webhook body is no delivery for this receiver."""


class SignatureError(WebhookError):
    """The webhook body is not signed with any of the secrets, or is outside the age limit."""


class EnvelopeError(WebhookError):
    """The webhook body is authentic, but not an event."""


class InboxError(PinwheelError):
    """The inbox could not store or read deliveries; nothing has changed.

    Attributes:
        reason: The kind of trouble: the name of the exception that the storage raised ("SQLITE_FULL"), or a word of the
            inbox's own ("MaxWaiting", "FileLost").
        path: The file that could not be opened; None where it was open already, or there is none.
    """

    path: str | None = None

    def __init__(self, message: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{message}: {reason}")

    def set_path(self, path: str) -> None:
        """Name the file that it is about, unless it does so already."""
        self.path = path
        text = str(self)
        if path not in text:
            super().__init__(f"{text.removesuffix(f': {self.reason}')} ({path}): {self.reason}")

    @property
    def is_transient(self) -> bool:
        """Whether the same may succeed later although nobody changes the program: worth another attempt.

        So it is where another process holds the file, the disk is full, fails or hangs, too many wait, the file is not
        in its place, or the database is away; not where the file is damaged, foreign, of another version, consumer or
        key, or missing.
        """
        return self.reason.startswith(_TRANSIENT_REASONS)


_TRANSIENT_REASONS = (
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PROTOCOL"),
    *("Timeout", "MaxWaiting", "FileLost", "Unavailable"),
    *("TooManyConnectionsError", "DiskFullError", "OutOfMemoryError", "ReadOnlySQLTransactionError"),
)
"""Beginnings of the names; SQLite's have more of the kind behind them ("SQLITE_IOERR_FSYNC")."""


class SinkError(PinwheelError):
    """The sink could not store what was fetched; nothing after this point is stored.

    Attributes:
        reason: The kind of trouble, as the name of the exception that the storage raised.
        place: Where it is, as far as that is known: path, or host, port and database; and table and column, if the
            database names them.
    """

    place: str | None = None

    def __init__(self, message: str, *, reason: str, place: str | None = None) -> None:
        self.reason = reason
        self.place = place
        super().__init__(f"{message} ({place}): {reason}" if place else f"{message}: {reason}")


class SupersededError(SinkError):
    """A newer reading of the same product of the same account is stored: this page was not."""

    def __init__(self) -> None:
        super().__init__("the page was not stored", reason="a newer reading is there")


class UnconfirmedRemovalError(SinkError):
    """A reading would remove much of what is stored, and no second reading has said the same: nothing was removed."""

    def __init__(self) -> None:
        super().__init__("nothing was removed", reason="a second reading has to agree")


class SyncError(ExceptionGroup[PinwheelError], PinwheelError):
    """Accounts that a sync could not finish; one leaf per account and product."""

    def __init__(self, message: str, exceptions: Sequence[PinwheelError], /) -> None:
        ExceptionGroup.__init__(self, message, exceptions)

    def derive(self, excs: Sequence[Any], /) -> Any:
        """Keep the class when the group is split."""
        return SyncError(self.message, excs)


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
