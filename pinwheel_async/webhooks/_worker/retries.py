"""Per-handler attempts and back-off of one delivery, and how they are stored with it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.webhooks._inbox.base import ONLY, UNREADABLE
from pinwheel_async.webhooks._router import Handler
from pinwheel_async.webhooks._worker.dispatch import HandlerRun

RETURNED = {"returned": True}

UNREADABLE_RETRY_S = 60.0
"""Seconds until a delivery that cannot be decoded is tried again, where a later version of the library may take it."""

UNREADABLE_ATTEMPTS = 10
"""How often that is tried, at most: ten minutes are a rolling deploy, and for so long its account waits."""


class HandlerRetries:
    """State of the handlers of one delivery between its attempts.

    Every handler has its own number of attempts and its own back-off, but the delivery as a whole comes again. A
    handler whose back-off is longer than the shortest skips the next attempt. Back-off is counted from attempt to
    attempt, so no clock is needed.

    It is stored with the delivery, so that it does not matter which process makes the next attempt, nor whether this
    one has ended by then.
    """

    __slots__ = (
        "_attempts",
        "_backoff_s",
        "_handlers",
        "_left_out",
        "_unknown",
        "_unreadable",
        "given_up",
        "missing",
        "returned",
    )

    def __init__(self, handlers: Mapping[str, Handler[Any]], stored: bytes | None = None) -> None:
        """Go on from what was stored.

        Args:
            handlers: All there are, by their keys.
            stored: What `dump` gave. Whatever is not understood counts as not stored: then a handler runs once more.
        """
        self.returned: set[Handler[Any]] = set()
        self.given_up: dict[Handler[Any], str] = {}
        """Handlers without an attempt left, and why they failed last."""
        self._attempts: dict[Handler[Any], int] = {}
        self._backoff_s: dict[Handler[Any], float] = {}
        """Seconds from the next attempt of the delivery until a handler wants its own; 0 to run in it."""
        self._handlers = handlers
        self._left_out: frozenset[Handler[Any]] = frozenset()
        """Handlers that take no part, as a replay named others."""
        self.missing: list[str] = []
        """Names of handlers that a replay named, and this process does not have."""
        self._unknown: dict[str, Any] = {}
        """State of handlers that this process does not have, for another one that does: while a deploy is under way."""
        read = _read(stored)
        unreadable = read.pop(UNREADABLE, 0)
        self._unreadable: int = unreadable if isinstance(unreadable, int) else 0
        only: Any = read.get(ONLY)
        if isinstance(only, list):
            named: list[Any] = only  # pyright: ignore[reportUnknownVariableType]  # a list of whatever was stored
            self._left_out = frozenset([handler for handler in handlers.values() if handler.name not in named])
            self.missing = sorted(set(named) - {handler.name for handler in handlers.values()})
        for key, state in read.items():
            handler = handlers.get(key)
            if handler is None:
                self._unknown[key] = state
            else:
                self._restore(handler, state)

    @property
    def skip(self) -> frozenset[Handler[Any]]:
        """Handlers that do not run in the next attempt."""
        backing_off = [handler for handler, seconds in self._backoff_s.items() if seconds > 0]
        return self._left_out.union(self.returned, self.given_up, backing_off)

    def record(self, run: HandlerRun, *, default: RetryPolicy, random: float) -> float | None:
        """Record the outcome of an attempt; return the seconds until the next attempt, None if there is none.

        Args:
            run: The outcome.
            default: The policy of handlers that have none.
            random: In [0, 1); the same for all handlers, so that those of one policy stay together.
        """
        self.record_returned(run)
        if run.problems:
            return None
        for failure in run.failures:
            handler, policy = failure.handler, failure.handler.retry or default
            attempts = self._attempts[handler] = self._attempts.get(handler, 0) + 1
            self._backoff_s.pop(handler, None)
            if attempts < policy.attempts:
                # Equal jitter: at least half of the bound. With full jitter all attempts may be over in a moment. A
                # crowd is spread over the other half, and by the accounts, each of which comes one by one.
                self._backoff_s[handler] = policy.backoff_s(attempts, (1 + random) / 2)
            else:
                self.given_up[handler] = failure.reason
        shortest_s = min(self._backoff_s.values(), default=None)
        if shortest_s is not None:
            # To the millisecond, so that two which are due together are not told apart by a rounding error.
            self._backoff_s = {handler: round(seconds - shortest_s, 3) for handler, seconds in self._backoff_s.items()}
        return shortest_s

    def record_unreadable(self) -> float | None:
        """Record that it could not be decoded; return the seconds until the next attempt, None if there is none."""
        self._unreadable += 1
        return UNREADABLE_RETRY_S if self._unreadable < UNREADABLE_ATTEMPTS else None

    def record_returned(self, run: HandlerRun) -> None:
        """Record which handlers have returned, and nothing else: the attempt was cut short and does not count."""
        for handler in run.returned:
            self.returned.add(handler)
            self._backoff_s.pop(handler, None)

    def reset(self) -> None:
        """Forget the failures: if the delivery is revived, handlers that have not returned have all attempts again."""
        self.given_up.clear()
        self._attempts.clear()
        self._backoff_s.clear()
        self._unreadable = 0
        self._unknown = {key: state for key, state in self._unknown.items() if state == RETURNED or key == ONLY}

    def dump(self) -> bytes:
        """Return the state as JSON: keys of handlers, numbers, and kinds of failures; never a value."""
        stored: dict[str, Any] = dict(self._unknown)
        for key, handler in self._handlers.items():
            state: dict[str, Any] = {}
            if handler in self.returned:
                state = RETURNED
            elif handler in self._attempts:
                state["attempts"] = self._attempts[handler]
                if handler in self.given_up:
                    state["reason"] = self.given_up[handler]
                elif self._backoff_s.get(handler):
                    state["backoff_s"] = self._backoff_s[handler]
            if state:
                stored[key] = state
        if self._unreadable:
            stored[UNREADABLE] = self._unreadable
        return json.dumps(stored, separators=(",", ":")).encode()

    def _restore(self, handler: Handler[Any], state: Any) -> None:
        match state:
            case {"returned": True}:
                self.returned.add(handler)
            case {"attempts": int(attempts)}:
                self._attempts[handler] = attempts
                match state:
                    case {"reason": str(reason)}:
                        self.given_up[handler] = reason
                    case {"backoff_s": float(backoff_s)}:
                        self._backoff_s[handler] = backoff_s
                    case _:
                        self._backoff_s[handler] = 0.0
            case _:
                pass


def handler_keys(handlers: Iterable[Handler[Any]]) -> dict[str, Handler[Any]]:
    """Return handlers by keys that are the same in every process and after a restart.

    A key is module and name of the function; of several registrations with the same, also which of them it is.
    """
    keys: dict[str, Handler[Any]] = {}
    count: Counter[str] = Counter()
    for handler in handlers:
        name = f"{getattr(handler.call, '__module__', None) or type(handler.call).__module__}.{handler.name}"
        count[name] += 1
        keys[name if count[name] == 1 else f"{name}#{count[name]}"] = handler
    return keys


def _read(stored: bytes | None) -> dict[str, Any]:
    if not stored:
        return {}
    try:
        read: Any = json.loads(stored)
    except ValueError:
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
