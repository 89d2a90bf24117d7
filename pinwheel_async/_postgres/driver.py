"""Imports of asyncpg, which brings no types: everything of it is Any here, and nowhere else."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

import asyncpg  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

driver: Any = asyncpg


class Connection(Protocol):
    """What is used of a connection."""

    async def execute(self, query: str, *arguments: Any) -> str:
        """Execute; return a word, and in its end how many rows were changed."""
        ...

    async def fetch(self, query: str, *arguments: Any) -> Sequence[Any]:
        """Return rows."""
        ...

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row; None if there is none."""
        ...

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """Return the first column of the first row; None if there is none."""
        ...

    def transaction(self, *, isolation: str | None = ..., readonly: bool = ...) -> AbstractAsyncContextManager[None]:
        """Return a transaction, to be entered."""
        ...

    async def add_listener(self, channel: str, callback: Callable[[Any, int, str, object], None]) -> None:
        """Listen on a channel."""
        ...

    def is_closed(self) -> bool:
        """Whether it is closed, or was lost."""
        ...

    async def close(self, *, timeout: float | None = ...) -> None:  # noqa: ASYNC109  # the driver's own
        """Close it in order."""
        ...

    def terminate(self) -> None:
        """Close it at once."""
        ...


async def connect(url: str, arguments: dict[str, Any]) -> Connection:
    """Connect to a database."""
    return cast("Connection", await driver.connect(url, **arguments))
