"""Group commit of pages: what waits is stored in one transaction, and meanwhile the next group gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

from pinwheel_async._privacy import Discreet

T = TypeVar("T")


@frozen(eq=False)
class _Waiting(Discreet, Generic[T]):
    item: T = field(repr=False)
    done: "asyncio.Future[None]"


_MAX_GROUP = 512
"""Items of a group where groups are stored one after another: more gain nothing, and a transaction has to end."""

_MAX_GROUP_IN_PARALLEL = 64
"""Items of a group where several are stored at once: the first would take what the others could do."""


class GroupWriter(Generic[T]):
    """Hands all items that wait to one call of *store*, or shares them among a few calls at once.

    No timers: under light load a group is a single item. An item that was handed over is stored even if the task that
    waits for it is cancelled.
    """

    def __init__(
        self, store: Callable[[Sequence[T]], Awaitable[Sequence[Exception | None]]], *, parallel: int = 1
    ) -> None:
        """Start to write.

        Args:
            store: Stores a group and returns, for each item, what kept it from being stored. Must not raise.
            parallel: Most calls of it at once.
        """
        self._store = store
        self._max_group = _MAX_GROUP if parallel == 1 else _MAX_GROUP_IN_PARALLEL
        self._waiting: list[_Waiting[T]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks = [
            asyncio.create_task(self._run(), name=f"pinwheel-sync-writer-{number}") for number in range(parallel)
        ]

    async def write(self, item: T) -> None:
        """Return when the item is stored; raise what kept it from being stored."""
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        await waiting.done

    async def close(self) -> None:
        """Store what still waits, and stop."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            group, self._waiting = self._waiting[: self._max_group], self._waiting[self._max_group :]
            if group:
                try:
                    await self._write(group)
                finally:
                    for waiting in group:
                        waiting.done.cancel()  # nothing, unless this task was cancelled

    async def _write(self, group: "list[_Waiting[T]]") -> None:
        outcomes = await self._store([waiting.item for waiting in group])
        for waiting, error in zip(group, outcomes, strict=True):
            if waiting.done.done():
                continue  # its writer was cancelled; the item is stored nevertheless
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)
