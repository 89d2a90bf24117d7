"""Asyncio-native client for the Pinwheel payroll API.

`Pinwheel` is the client. Beside it: `models` (what the API says), `events` (what webhooks say), `webhooks` (receive
them), `sync` (copy everything into a database), `testing` (a server to test against).
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy
from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.page import Page
from pinwheel_async._core.reply import Reply
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._core.wire import Response
from pinwheel_async._http.limiter import background
from pinwheel_async._http.observing import Attempt, capture, with_reply
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import (
    ApiError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    CursorError,
    DeadlineError,
    DecodeError,
    EnvelopeError,
    ErrorDetail,
    ForbiddenError,
    InboxError,
    InvalidRequestError,
    NotFoundError,
    PinwheelError,
    RateLimitError,
    RequestError,
    ServerError,
    SignatureError,
    SinkError,
    SupersededError,
    SyncError,
    TransportError,
    UnauthorizedError,
    UnconfirmedRemovalError,
    WebhookError,
)
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.settings import Environment, Settings

if TYPE_CHECKING:
    from pinwheel_async._postgres.shared_pace import SharedPace
    from pinwheel_async.snapshot import Snapshot

    __version__: str

__all__ = [
    "PRODUCTS",
    "ApiError",
    "Attempt",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "CursorError",
    "DeadlineError",
    "DecodeError",
    "EnvelopeError",
    "Environment",
    "ErrorDetail",
    "ForbiddenError",
    "InboxError",
    "InvalidRequestError",
    "MinorUnits",
    "NotFoundError",
    "Page",
    "Paged",
    "Pinwheel",
    "PinwheelError",
    "Product",
    "RateLimitError",
    "Reply",
    "RequestError",
    "Response",
    "RetryPolicy",
    "ServerError",
    "Settings",
    "SharedPace",
    "SignatureError",
    "SinkError",
    "Snapshot",
    "SupersededError",
    "SyncError",
    "TransportError",
    "UnauthorizedError",
    "UnconfirmedRemovalError",
    "WebhookError",
    "background",
    "capture",
    "with_reply",
]

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    # `Snapshot` brings the models, the version is read from the metadata of the installation: both are costly.
    # Not `__dir__`, because `dir()` of this package should go on giving the packages below it, too.
    __getattr__ = _lazy.attach(
        __name__,
        {
            "SharedPace": "pinwheel_async._postgres.shared_pace",
            "Snapshot": "pinwheel_async.snapshot",
            "__version__": "pinwheel_async._version",
        },
        extras={"asyncpg": ("asyncpg", "postgres")},
    )[0]
