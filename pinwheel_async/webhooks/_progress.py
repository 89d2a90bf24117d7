"""How far a delivery has come between two attempts: who is done with it, and when the others want it again."""

from typing import Any

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.webhooks._dispatch import Course
from pinwheel_async.webhooks._router import Handler


class Progress:
    """What this process remembers of one delivery; a process that starts anew begins with all handlers again.

    Every handler has its own number of tries and its own waits. Waits are counted from one attempt to the next, so no
    clock is needed: whoever wants to wait longer than the most impatient one sits the next attempt out.
    """

    __slots__ = ("_tries", "_wait_s", "given_up", "returned")

    def __init__(self) -> None:
        self.returned: set[Handler[Any]] = set()
        self.given_up: dict[Handler[Any], str] = {}
        """Handlers without a try left, and why they failed last."""
        self._tries: dict[Handler[Any], int] = {}
        self._wait_s: dict[Handler[Any], float] = {}

    @property
    def skip(self) -> frozenset[Handler[Any]]:
        """Handlers that do not run in the next attempt."""
        return frozenset([*self.returned, *self.given_up, *[one for one, left in self._wait_s.items() if left > 0]])

    def note(self, course: Course, *, attempt: int, default: RetryPolicy, random: float) -> float | None:
        """Take down what an attempt brought; return the seconds until the next one, None if there is none.

        Args:
            course: What came of it.
            attempt: Number of the attempt, from 1: what to count from where nothing is remembered.
            default: The policy of handlers that have none.
            random: In [0, 1); the same for all handlers, so that those of one policy stay together.
        """
        for handler in course.returned:
            self.returned.add(handler)
            self._wait_s.pop(handler, None)
        for failure in course.failures:
            handler, policy = failure.handler, failure.handler.retry or default
            tries = self._tries[handler] = self._tries.get(handler, attempt - 1) + 1
            self._wait_s.pop(handler, None)
            if tries < policy.attempts:
                self._wait_s[handler] = policy.backoff_s(tries, random)
            else:
                self.given_up[handler] = failure.reason
        wait = min(self._wait_s.values(), default=None)
        if wait is not None:
            self._wait_s = {handler: left - wait for handler, left in self._wait_s.items()}
        return wait

    def bury(self) -> None:
        """Forget the failures: if the delivery is revived, who has not returned begins anew."""
        self.given_up.clear()
        self._tries.clear()
