"""A list that can be read by the page or by the item."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from pinwheel_async._core.page import Page
from pinwheel_async.errors import CursorError

T = TypeVar("T")


class Paged(Generic[T]):
    """A list of the API, not fetched yet.

    - `await` it for one page: `page = await pinwheel.paystubs.list(account_id)`;
    - `async for` it for every item of every page, fetched as they are needed;
    - `async for page in paged.pages()` for every page.

    It can be read any number of times; each reading asks the server again. Cursors are opaque and may expire: nothing
    of them needs to be kept, and a cursor that the server hands out twice ends the reading with a `CursorError`
    instead of a loop without end.
    """

    __slots__ = ("_cursor", "_endpoint", "_fetch")

    def __init__(
        self, fetch: Callable[[str | None], Awaitable[Page[T]]], *, endpoint: str, cursor: str | None = None
    ) -> None:
        self._fetch = fetch
        self._endpoint = endpoint
        self._cursor = cursor

    def __repr__(self) -> str:
        """Return the endpoint that would be asked."""
        return f"<Paged {self._endpoint}>"

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        """Fetch one page: the first, or the one after the cursor that was given."""
        return self._fetch(self._cursor).__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over every item of every page, in the server's order."""
        async for page in self.pages():
            for one in page.data:
                yield one

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over every page, in the server's order.

        Raises:
            CursorError: The server handed out a cursor for the second time.
        """
        page = await self
        # Fingerprints, not cursors: a list of a million items must not keep its tokens.
        seen: set[bytes] = set()
        count = 1
        while True:
            yield page
            if not page.next_cursor:
                return
            mark = blake2b(page.next_cursor.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if mark in seen:
                break
            seen.add(mark)
            page = await self._fetch(page.next_cursor)
            count += 1
        raise CursorError(endpoint=self._endpoint, pages=count)

    async def all(self) -> tuple[T, ...]:
        """Fetch every page and return all items. Mind the memory: about 5 kB per paystub."""
        return tuple([one async for one in self])
