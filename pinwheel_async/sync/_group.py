"""Many writers, few transactions: whatever waits is stored together, and meanwhile the next group gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from attrs import field, frozen

T = TypeVar("T")


@frozen(eq=False)
class _Waiting(Generic[T]):
    item: T = field(repr=False)
    done: "asyncio.Future[None]"


# More gain nothing, and a transaction is to be bounded.
_MOST = 512
_MOST_OF_SEVERAL = 64


class GroupWriter(Generic[T]):
    """Hands everything that waits to one call of *store*, or shares it among a few calls at once.

    No timers: under light load a group is one item. What was handed over is stored even if whoever waits for it is
    cancelled.
    """

    def __init__(
        self, store: Callable[[Sequence[T]], Awaitable[Sequence[Exception | None]]], *, lanes: int = 1
    ) -> None:
        """Start to write.

        Args:
            store: Stores a group and returns, for each item, what kept it from being stored. Must not raise.
            lanes: Most calls of it at once.
        """
        self._store = store
        self._most = _MOST if lanes == 1 else _MOST_OF_SEVERAL
        self._waiting: list[_Waiting[T]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._tasks = [
            asyncio.create_task(self._run(), name=f"pinwheel-sync-writer-{number}") for number in range(lanes)
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
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if group:
                try:
                    await self._write(group)
                finally:
                    for one in group:
                        one.done.cancel()  # nothing, unless this task was cancelled

    async def _write(self, group: "list[_Waiting[T]]") -> None:
        outcomes = await self._store([one.item for one in group])
        for one, error in zip(group, outcomes, strict=True):
            if one.done.done():
                continue  # its writer was cancelled; the item is stored nevertheless
            if error is None:
                one.done.set_result(None)
            else:
                one.done.set_exception(error)
