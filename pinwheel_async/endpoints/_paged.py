"""Pagination: a list that can be read by the page or by the item."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

from pinwheel_async._core.page import Page, PaginationMeta
from pinwheel_async.errors import CursorError, DecodeError, RequestError

T = TypeVar("T")

OnError: TypeAlias = Callable[[DecodeError], object]
"""What is called for an item that cannot be read."""

STALE_PAGES = 10
"""Pages without anything new, one after another, that end a reading.

A sound server may send a few: empty pages where a filter leaves none of what it looked through, and the same items
again when others come in before them meanwhile: ten pages of 25 make room for 250 new paystubs. A broken one costs ten
requests.
"""

MAX_KNOWN = 10_000
"""Items that a reading remembers, as hashes of 8 bytes in a set: about 1 MB, and more than most lists have."""


class Fetch(Protocol[T]):
    """Fetches the page of a cursor."""

    def __call__(self, cursor: str | None, on_error: OnError | None, /) -> Coroutine[Any, Any, Page[T]]:
        """Return the page; with *on_error*, without the items that cannot be read."""
        ...


class Paged(Generic[T]):
    """A list of the API, not fetched yet; methods such as `pinwheel.paystubs.list` return it.

    ```python
    async for paystub in pinwheel.paystubs.list(account_id):
        print(paystub.pay_date)
    ```

    - `await` it for one page: `page = await pinwheel.paystubs.list(account_id)`;
    - `async for` it for every item of every page, fetched as they are needed;
    - `async for item in paged.items(...)` for the same, past items that cannot be read, or a page ahead;
    - `async for page in paged.pages()` for every page;
    - `await paged.first(10)` or `await paged.all()` for a tuple of items.

    It can be read any number of times; each reading asks the server again. Cursors are opaque and may expire: nothing
    of them needs to be kept. A server that goes on without sending anything new ends the reading with a `CursorError`
    instead of a loop without end.
    """

    __slots__ = ("_cursor", "_endpoint", "_fetch")

    def __init__(self, fetch: Fetch[T], *, endpoint: str, cursor: str | None = None) -> None:
        self._fetch = fetch
        self._endpoint = endpoint
        self._cursor = cursor

    def __repr__(self) -> str:
        """Return the endpoint that would be asked."""
        return f"<Paged {self._endpoint}>"

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        """Fetch one page: the first, or the one after the cursor that was given."""
        return self._fetch(self._cursor, None).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over every item of every page, in the server's order."""
        return self.items()

    async def items(self, *, on_error: OnError | None = None, prefetch: bool = False) -> AsyncGenerator[T]:
        """Iterate over every item of every page, in the server's order.

        Args:
            on_error: Called with a `DecodeError` for each item that cannot be read, which names its place on the page;
                the others come all the same. It is called when the page comes, before its first item. Without it an
                item that cannot be read ends the reading.
            prefetch: Whether the next page is fetched while the items of the present one are handled.

        Raises:
            CursorError: The list would never end: a cursor came twice, or ten pages running brought nothing new.
            DecodeError: A page, or an item of it if *on_error* is None, is not of the documented shape.
        """
        async with aclosing(self._pages(on_error, prefetch=prefetch)) as pages:
            async for page in pages:
                for item in page.data:
                    yield item
                del page  # see `_pages`; the item is one of 25

    def pages(self, *, on_error: OnError | None = None, prefetch: bool = False) -> AsyncGenerator[Page[T]]:
        """Iterate over every page, in the server's order; the arguments are those of `items`.

        A reader that lets a page go (`del page`) before it asks for the next one saves CPU time where many lists are
        read at once; `items` does so.

        Raises:
            CursorError: The list would never end: a cursor came twice, or ten pages running brought nothing new.
        """
        return self._pages(on_error, prefetch=prefetch)

    async def all(self) -> tuple[T, ...]:
        """Fetch every page and return all items. Mind the memory: about 5 kB per paystub."""
        return tuple([item async for item in self])

    async def first(self, count: int) -> tuple[T, ...]:
        """Fetch as many pages as it takes and return the first items: *count* of them, or all if there are fewer.

        Raises:
            RequestError: The count is not a whole number above 0.
        """
        if not _is_count(count):
            raise RequestError([f"count must be a whole number above 0; {type(count).__name__} was given"])
        found: list[T] = []
        async with aclosing(self._pages(None, prefetch=False)) as pages:
            async for page in pages:
                found += page.data[: count - len(found)]
                if len(found) == count:
                    break
        return tuple(found)

    async def _pages(self, on_error: OnError | None, *, prefetch: bool) -> AsyncGenerator[Page[T]]:
        # A page is let go before the next one is fetched, so that its memory is there for the next one, still in the
        # cache of the processor, and the garbage collector has nothing to look at: with 64 readers of paystubs that
        # saves a third of the CPU time.
        page = await self._fetch(self._cursor, on_error)
        progress = _Progress() if page.next_cursor else None
        while progress is not None and page.next_cursor:
            if not progress.goes_on(page):
                yield page
                raise CursorError(endpoint=self._endpoint, pages=progress.pages)
            if not prefetch:
                # Not the cursor itself: a traceback may show what stands in a frame.
                meta = cast("PaginationMeta", page.meta)
                yield page
                del page
                page = await self._fetch(meta.next_cursor, on_error)
                continue
            task = asyncio.create_task(self._fetch(page.next_cursor, on_error))
            try:
                yield page
                page = await task
            finally:
                await _end(task)
        yield page


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and count > 0


async def _end(task: "asyncio.Task[Any]") -> None:
    """Leave nothing behind of a task: neither a request nor an error that nobody has asked for."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


class _Progress:
    """Whether a list still brings anything new, in bounded memory.

    A reading remembers hashes of items until it has `MAX_KNOWN` of them. When the list is twice as long as it was when
    it began to remember, it forgets them and begins anew. So a list that leads back into itself is found whatever its
    length: sooner or later the round begins with what is remembered, and takes fewer pages than it is remembered for.
    """

    __slots__ = ("_began", "_cursors", "_forget_at", "_known", "_stale", "pages")

    def __init__(self) -> None:
        self.pages = 0
        """Pages that were read."""
        self._known: set[int] = set()
        self._cursors: set[int] = set()
        self._stale = 0
        self._began = 0
        self._forget_at = 0

    def goes_on(self, page: Page[Any]) -> bool:
        """Take a page that is not the last; return whether the next one should be fetched."""
        self.pages += 1
        is_full = len(self._known) >= MAX_KNOWN and self.pages > self._began + STALE_PAGES
        if is_full and self.pages >= self._forget_at:
            self._known.clear()
            self._cursors.clear()
            self._began, is_full = self.pages, False
        cursor = hash(page.next_cursor)
        if cursor in self._cursors:
            return False  # the API's cursors differ on every call, so this server leads back
        new = _hashes(page.data) - self._known
        self._stale = 0 if new else self._stale + 1
        if not is_full:
            self._known |= new
            self._cursors.add(cursor)
            self._forget_at = 2 * self.pages
        return self._stale < STALE_PAGES


def _hashes(data: Any) -> set[int]:
    """Return hashes of what tells the items of a page apart: their ids, or the items where their class has none."""
    ids: tuple[Any, ...] | None = getattr(data, "ids", None)  # of a page that a sync has left undecoded
    names = [getattr(item, "id", item) for item in data] if ids is None else ids
    try:
        hashes = set(map(hash, names))
    except TypeError:  # a list for an id, which is no id
        hashes = {hash(name) for name in names if isinstance(name, str)}
    hashes.discard(hash(None))
    return hashes
