"""Fault injection for requests: scripted faults, random faults, rate limits."""

import math
from collections.abc import Iterable
from random import Random
from typing import Any, Literal, get_args

import msgspec
from attrs import define, field, frozen

from pinwheel_async._core.arguments import is_at_least, meant, text_of, wrong
from pinwheel_async._privacy import Discreet
from pinwheel_async.testing._api.request import Reply
from pinwheel_async.testing._world.records import RefusedError

_STATUS_TYPES = {400: "INVALID_REQUEST_PARAMETERS", 401: "UNAUTHORIZED_REQUEST", 403: "UNAUTHORIZED_REQUEST"}

Cut = Literal["before", "mid_body"]


@frozen(kw_only=True)
class Fault(Discreet):
    """One fault of a request; the parts that are set happen together.

    A fault that only delays, or only adds headers, leaves the answer as it would have been. One without any part
    lets its request pass: it keeps a place in a script.
    """

    status: int | None = None
    """Status of the answer. With neither `json` nor `body`, an error envelope goes with it."""
    retry_after_s: float | None = None
    """Seconds to name in a `Retry-After` header, which has whole ones: they are rounded up."""
    delay_s: float = 0.0
    """Seconds to wait before anything else happens."""
    cut: Cut | None = None
    """Close the connection instead of answering (the request is not carried out), or in the middle of the body (it is
    carried out)."""
    body: bytes | None = field(default=None, repr=False)
    """Bytes to answer instead of the body, such as a proxy's HTML or half a document; the request is carried out unless
    `status` is set."""
    json: Any = field(default=None, repr=False)
    """Value to answer as JSON instead of the body, like `body`."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Headers to add to the answer, or to put in place of its own."""

    def __attrs_post_init__(self) -> None:
        """Refuse what no answer can have.

        Raises:
            ValueError: A status that is none, a cut that there is not, or negative seconds.
        """
        status: Any = self.status
        if status is not None and (not isinstance(status, int) or not 100 <= status <= 599):
            raise ValueError(wrong("status", "a status of HTTP, from 100 to 599", status, int))
        if self.cut is not None and self.cut not in get_args(Cut):
            raise ValueError(
                f"cut must be one of {', '.join(get_args(Cut))}{meant(text_of(self.cut) or '', get_args(Cut))}"
            )
        for name, seconds in (("delay_s", self.delay_s), ("retry_after_s", self.retry_after_s)):
            if seconds is not None and not is_at_least(seconds, 0):
                raise ValueError(wrong(name, "a number that is not negative", seconds, float))

    @property
    def is_empty(self) -> bool:
        """Whether it has no part, and so lets its request pass."""
        set_parts = (self.status, self.retry_after_s, self.cut, self.body, self.json)
        return not self.delay_s and not self.headers and all(part is None for part in set_parts)

    @property
    def refuses(self) -> bool:
        """Whether the request is not carried out."""
        return self.status is not None or self.cut == "before"


@frozen(kw_only=True)
class Target:
    """Requests that a fault is meant for; None fits all."""

    operation: str | None = None
    path: str | None = None
    account_id: str | None = None

    def fits(self, operation: str | None, path: str, account_id: str | None) -> bool:
        """Return whether a request is among them."""
        pairs = ((self.operation, operation), (self.path, path), (self.account_id, account_id))
        return all(wanted is None or wanted == found for wanted, found in pairs)


@define
class _Script:
    target: Target
    faults: list[Fault]


@define
class _RandomFault:
    target: Target
    fault: Fault
    probability: float
    rng: Random


class RequestFaults:
    """Faults of the requests to come."""

    def __init__(self) -> None:
        self._scripts: list[_Script] = []
        self._random_faults: list[_RandomFault] = []

    def script(self, faults: Iterable[Fault], target: Target) -> None:
        """Let the next requests that fit have faults, one each, in this order."""
        scripted = list(faults)
        if scripted:
            self._scripts.append(_Script(target, scripted))

    def fail_randomly(self, fault: Fault, probability: float, target: Target, seed: int) -> None:
        """Let each request that fits have a fault, with a probability."""
        rng = Random(seed)  # noqa: S311  # chance, not a secret
        self._random_faults.append(_RandomFault(target, fault, probability, rng))

    def clear(self) -> None:
        """Drop all of them."""
        self._scripts.clear()
        self._random_faults.clear()

    def take(self, operation: str | None, path: str, account_id: str | None) -> list[Fault]:
        """Return the faults of a request: the next of each script that fits, and the random ones that hit."""
        taken: list[Fault] = []
        for script in [script for script in self._scripts if script.target.fits(operation, path, account_id)]:
            taken.append(script.faults.pop(0))
            if not script.faults:
                self._scripts.remove(script)
        fitting = [random for random in self._random_faults if random.target.fits(operation, path, account_id)]
        return taken + [random.fault for random in fitting if random.rng.random() < random.probability]


def apply_fault(reply: Reply, fault: Fault) -> Reply:
    """Put the parts of a fault in place of the parts of a reply."""
    status = fault.status or reply.status
    headers = {"Content-Type": "application/json", **reply.headers, **dict(fault.headers)}
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(fault.retry_after_s))
    if fault.body is not None:
        return Reply(status, fault.body, headers)
    if fault.json is not None:
        return Reply(status, msgspec.json.encode(fault.json), headers)
    if fault.status is None:
        return Reply(status, reply.body, headers)
    error_type = _STATUS_TYPES.get(status, "UNKNOWN_ERROR")
    error = RefusedError(status, error_type, "FAKE_FAULT", "The test asked for this fault.")
    return Reply(status, error.envelope(), headers)


@define
class RateLimiter:
    """Rate limiter (a token bucket) and limit of concurrency; a request over a limit gets 429."""

    requests_per_s: float | None = None
    """Requests let through per second, evenly; up to one second's worth may come at once."""
    in_flight: int | None = None
    """Requests let through at the same time."""
    _tokens: float = field(default=0.0, init=False)
    _at_s: float = field(default=-math.inf, init=False)

    def refused_for_s(self, in_flight: int, now_s: float) -> float | None:
        """Count one request in, or return for how many seconds it should wait.

        Args:
            in_flight: Requests being answered already.
            now_s: Seconds on a clock that never goes back.
        """
        if self.in_flight is not None and in_flight >= self.in_flight:
            return 1.0
        if self.requests_per_s is None:
            return None
        burst = max(1.0, self.requests_per_s)
        self._tokens = min(burst, self._tokens + (now_s - self._at_s) * self.requests_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) / self.requests_per_s
        self._tokens -= 1
        return None
