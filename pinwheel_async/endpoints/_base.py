"""What every group of endpoints stands on."""

from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from pinwheel_async._core.endpoint import Endpoint, Query
from pinwheel_async._core.fields import Model
from pinwheel_async._core.page import Page
from pinwheel_async._core.wire import Request
from pinwheel_async.endpoints._paged import Paged

T = TypeVar("T")
Item = TypeVar("Item", bound=Model)


class Caller(Protocol):
    """The one seam to the network: sends a request and returns what its row promises."""

    def call(self, row: Endpoint[T], request: Request) -> Coroutine[Any, Any, T]:
        """Send *request* and decode the answer as *row* says."""
        ...


class Endpoints:
    """Base of a group: turns a row and arguments into a call."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    # Not a coroutine function: its frame, which holds what is sent, must not be part of a later traceback. For the same
    # reason a method that takes secrets or personal data deletes these arguments before it awaits.
    def _call(
        self,
        row: Endpoint[T],
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        body: Model | None = None,
        bearer: str | None = None,
        version: str | None = None,
    ) -> Awaitable[T]:
        return self._caller.call(row, row.request(path=path, query=query, body=body, bearer=bearer, version=version))

    def _paged(
        self,
        row: Endpoint[Page[Item]],
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        bearer: str | None = None,
    ) -> Paged[Item]:
        arguments = dict(query or {})
        cursor = arguments.pop("cursor", None)
        row.request(path=path, query=arguments)  # a bad argument is an error here, not at the first await

        def fetch(cursor: str | None) -> Awaitable[Page[Item]]:
            request = row.request(path=path, query={**arguments, "cursor": cursor}, bearer=bearer)
            return self._caller.call(row, request)

        return Paged(fetch, endpoint=row.name, cursor=cursor if isinstance(cursor, str) else None)
