"""Asyncio-native client for the Pinwheel payroll API.

`Pinwheel` is the client. Beside it: `models` (what the API says), `events` (what webhooks say), `webhooks` (receive
them), `sync` (copy everything into a database), `testing` (a server to test against).
"""

from typing import TYPE_CHECKING

from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.page import Page
from pinwheel_async._core.reply import Reply
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._core.wire import Response
from pinwheel_async._gate import background
from pinwheel_async._watch import capture
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
    WebhookError,
)
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.settings import Environment, Settings

if TYPE_CHECKING:
    from pinwheel_async.snapshot import Snapshot

    __version__: str

__all__ = [
    "PRODUCTS",
    "ApiError",
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
    "SignatureError",
    "SinkError",
    "Snapshot",
    "SupersededError",
    "SyncError",
    "TransportError",
    "UnauthorizedError",
    "WebhookError",
    "background",
    "capture",
]

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass

    def __getattr__(name: str) -> object:
        """Bring in what is costly when it is first asked for: the models, and the installation's metadata."""
        if name == "Snapshot":
            from pinwheel_async.snapshot import Snapshot as value  # noqa: N813, PLC0415
        elif name == "__version__":
            from pinwheel_async._version import library_version  # noqa: PLC0415

            value = library_version()
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value
