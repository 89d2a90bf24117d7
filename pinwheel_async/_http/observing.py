"""`capture()`, which records raw replies, the counter of schema drift, and what a hook learns of an attempt."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from attrs import frozen

from pinwheel_async._core.reply import Reply
from pinwheel_async._core.wire import Response
from pinwheel_async.errors import RequestError
from pinwheel_async.settings import is_version

T = TypeVar("T")

MAX_KINDS = 1000
"""Kinds of drift that are counted apart; further ones are counted together, under `OTHERS`.

The server chooses the version that it names, so without a limit it could fill the memory of a client that lives for
months. A kind is a text of about 100 bytes, so this is 100 kB.
"""

OTHERS = "(others)"

_captures: ContextVar[tuple["_Capture", ...]] = ContextVar("pinwheel_async.captures", default=())


@frozen(kw_only=True)
class Attempt:
    """What `on_attempt` is told, before an attempt and after it. Names, numbers and codes, never a value."""

    endpoint: str
    """Method and path template, such as `GET /v1/accounts/{account_id}`."""
    base_url: str
    """Where the client calls."""
    number: int
    """1 for the first attempt of a call."""
    waited_s: float
    """Seconds since the call, or its last attempt: for a free slot, for a pause to end, or between two attempts."""
    took_s: float | None = None
    """Seconds from the beginning of the attempt to its end; None before it."""
    status: int | None = None
    """Status of the answer; None before the attempt, and where there was no answer."""
    failure: str | None = None
    """Why there was no answer, such as `ClientConnectorError (ECONNREFUSED)`; None before the attempt, and where there
    was one."""
    request_id: str | None = None
    """The server's id of the exchange, if it looks like one."""


AttemptHook: TypeAlias = Callable[[Attempt], None]


class _Capture:
    """A list that is filled until its block ends, even if tasks that were started in the block live on."""

    __slots__ = ("open", "replies")

    def __init__(self) -> None:
        self.open = True
        self.replies: list[Reply[Any]] = []


@contextmanager
def capture() -> Generator[list[Reply[Any]]]:
    """Collect the final answer of every call in this block, and in tasks started in it.

    A call that fails by its answer is there with its `error`, and without a value.

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
        # Tasks that were started in the block keep its context, so resetting the variable does not reach them.
        mine.open = False
        _captures.set(outer)


async def with_reply(call: Awaitable[T]) -> Reply[T]:
    """Await a call and return its whole answer: the value, and its meta, drift, status, headers and body.

    A call that fails raises as ever; its error holds the response.

    Example:
        ```python
        reply = await with_reply(pinwheel.income.get(account_id))
        print(reply.value.compensation_amount, reply.meta, reply.response.request_id)
        ```

    Args:
        call: A call that has not begun, or a list, whose first page is fetched.

    Raises:
        RequestError: It is no single call of a client: a task, which began elsewhere, or a snapshot, say.
    """
    with capture() as replies:
        value = await call
    for reply in replies:
        if reply.value is value:
            return reply
    raise RequestError(
        ["call must be one call of a client that has not begun, such as pinwheel.income.get(account_id)"]
    )


def record_reply(reply: Reply[Any]) -> None:
    """Give a reply to every `capture()` block that the current task runs in."""
    for active in _captures.get():
        if active.open:
            active.replies.append(reply)


def is_capturing() -> bool:
    """Whether the current task runs in a `capture()` block."""
    captures = _captures.get()
    return bool(captures) and any(active.open for active in captures)


class Drift:
    """Counts how answers differ from the documentation, by endpoint and place. Bounded, and never a value."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """The counts as they stand now and later: a view."""
        return MappingProxyType(self._counts)

    def record(self, endpoint: str, places: tuple[str, ...]) -> None:
        """Count places where an answer was not as documented, such as `data[].title: null`."""
        for place in places:
            self._count(f"{endpoint} {place}")

    def record_version(self, endpoint: str, response: Response, *, requested: str) -> None:
        """Count an answer whose version is not the one that was requested."""
        version = response.version
        if version is not None and version != requested:
            shown = version if is_version(version) else "(unreadable)"
            self._count(f"{endpoint} answered version {shown} for {requested}")

    def _count(self, kind: str) -> None:
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = OTHERS
        self._counts[kind] = self._counts.get(kind, 0) + 1
