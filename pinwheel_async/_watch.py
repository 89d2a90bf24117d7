"""What a client notices about the answers it reads: raw replies for who asks, and a count of surprises."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from pinwheel_async._core.reply import Reply
from pinwheel_async._core.wire import Response

MAX_KINDS = 1000
"""Kinds of surprises that are told apart; what comes after them is counted together."""

OTHERS = "(others)"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

_captures: ContextVar[tuple["_Capture", ...]] = ContextVar("pinwheel_async.captures", default=())


class _Capture:
    """A list that is filled until its block ends, even if tasks that were started in the block live on."""

    __slots__ = ("open", "replies")

    def __init__(self) -> None:
        self.open = True
        self.replies: list[Reply[Any]] = []


@contextmanager
def capture() -> Generator[list[Reply[Any]]]:
    """Collect the whole answer of every call that succeeds in this block, and in tasks started in it.

    Example:
        ```python
        with capture() as replies:
            income = await pinwheel.income.get(account_id)
        print(replies[-1].meta.refreshed_at, replies[-1].response.request_id)
        ```
    """
    outer = _captures.get()
    mine = _Capture()
    _captures.set((*outer, mine))
    try:
        yield mine.replies
    finally:
        mine.open = False
        _captures.set(outer)


def show(reply: Reply[Any]) -> None:
    """Give a reply to whoever captures."""
    for one in _captures.get():
        if one.open:
            one.replies.append(reply)


def is_captured() -> bool:
    """Whether somebody wants to see the replies."""
    return any(one.open for one in _captures.get())


class Drift:
    """Counts how answers differ from the documentation, by endpoint and place. Bounded, and never a value."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts as they stand now and later: a view."""
        return MappingProxyType(self._counts)

    def forgave(self, endpoint: str, places: tuple[str, ...]) -> None:
        """Count places that were forgiven, such as `data[].title: null`."""
        for place in places:
            self._count(f"{endpoint} {place}")

    def answered(self, endpoint: str, response: Response, *, requested: str) -> None:
        """Count an answer of another version than was asked for."""
        version = response.version
        if version is not None and version != requested:
            shown = version if _DATE.fullmatch(version) else "(unreadable)"
            self._count(f"{endpoint} answered version {shown} for {requested}")

    def _count(self, kind: str) -> None:
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = OTHERS
        self._counts[kind] = self._counts.get(kind, 0) + 1
