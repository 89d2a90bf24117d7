"""Base class of the endpoint groups, and the seam to the network."""

from collections.abc import Awaitable, Coroutine, Mapping
from inspect import isfunction
from pathlib import Path
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from pinwheel_async._core.arguments import Id, text_of
from pinwheel_async._core.endpoint import Endpoint, Query
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import Page
from pinwheel_async._core.wire import Request, SignedLink
from pinwheel_async._privacy import without_locals
from pinwheel_async.endpoints._paged import OnError, Paged
from pinwheel_async.errors import RequestError

T = TypeVar("T")
Item = TypeVar("Item", bound=Model)


class Caller(Protocol):
    """The one seam to the network: sends a request and returns what its row promises."""

    def call(self, row: Endpoint[T], request: Request, *, on_error: OnError | None = None) -> Coroutine[Any, Any, T]:
        """Send *request* and decode the answer as *row* says.

        Items of a list that cannot be read are left out, and *on_error* is called for each, unless it is None.
        """
        ...

    def download(self, link: SignedLink, path: Path | None) -> Coroutine[Any, Any, bytes | int]:
        """Fetch the file behind a signed link; return it, or write it to *path* and return its size."""
        ...


class Endpoints:
    """Base of a group: turns a row and arguments into a call."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __init_subclass__(cls) -> None:
        """Keep the arguments of every public method out of the tracebacks of its errors."""
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, without_locals(method))

    # Not a coroutine function: its frame holds what is sent, and frames of a call that waits can be looked at, too. For
    # the same reason a method that takes secrets or personal data deletes these arguments before it awaits.
    def _call(
        self,
        row: Endpoint[T],
        *,
        path: Mapping[str, Id] | None = None,
        query: Query | None = None,
        body: Model | RequestError | None = None,
        bearer: str | RequestError | None = None,
        version: str | None = None,
    ) -> Awaitable[T]:
        try:
            request = row.request(path=path, query=query, body=body, bearer=bearer, version=version)
        except RequestError as error:
            refusal = error.with_traceback(None)  # its frames hold what was given
        else:
            return self._caller.call(row, request)
        return _refuse(refusal)

    def _paged(
        self,
        row: Endpoint[Page[Item]],
        *,
        path: Mapping[str, Id] | None = None,
        query: Query | None = None,
        bearer: str | RequestError | None = None,
    ) -> Paged[Item]:
        arguments = {**query} if query else {}
        cursor = arguments.pop("cursor", None)
        # Built here, since a bad argument is an error here, not at the first await; pages differ by their cursors only.
        first = row.request(path=path, query=arguments, bearer=bearer)
        if cursor is not None:
            row.request(path=path, query={"cursor": cursor}, bearer=bearer)
        return Paged(_PageFetch(self._caller, row, first), endpoint=row.name, cursor=text_of(cursor))


class _PageFetch(Generic[Item]):
    """Fetches the page of a cursor."""

    __slots__ = ("_caller", "_first", "_row")

    def __init__(self, caller: Caller, row: Endpoint[Page[Item]], first: Request) -> None:
        self._caller = caller
        self._row = row
        self._first = first

    @without_locals  # the server chooses the cursor, so that the request may be refused here
    def __call__(self, cursor: str | None, on_error: OnError | None = None) -> Coroutine[Any, Any, Page[Item]]:
        request = self._first if cursor is None else self._row.next_page(self._first, cursor)
        return self._caller.call(self._row, request, on_error=on_error)


async def _refuse(refusal: RequestError) -> NoReturn:
    """Raise when awaited: by then the caller has deleted what must not be in a frame."""
    raise refusal
