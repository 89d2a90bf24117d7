"""Trouble on order: what can go wrong with a request, which requests it happens to, and when the server is full."""

import math
from collections.abc import Iterable
from random import Random
from typing import Any, Literal

import msgspec
from attrs import define, field, frozen

from pinwheel_async.testing._call import RefusedError, Reply

_STATUS_TYPES = {400: "INVALID_REQUEST_PARAMETERS", 401: "UNAUTHORIZED_REQUEST", 403: "UNAUTHORIZED_REQUEST"}

Cut = Literal["before", "mid_body"]


@frozen(kw_only=True)
class Fault:
    """One thing that goes wrong; the parts that are set happen together.

    A fault that only delays, or only adds headers, leaves the answer as it would have been.
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

    @property
    def refuses(self) -> bool:
        """Whether the request is not carried out."""
        return self.status is not None or self.cut == "before"


@frozen(kw_only=True)
class Target:
    """Which requests a fault is meant for; what is None fits all."""

    operation: str | None = None
    path: str | None = None
    account_id: str | None = None

    def fits(self, operation: str | None, path: str, account_id: str | None) -> bool:
        """Return whether a request is one of those."""
        pairs = ((self.operation, operation), (self.path, path), (self.account_id, account_id))
        return all(wanted is None or wanted == found for wanted, found in pairs)


@define
class _Script:
    target: Target
    faults: list[Fault]


@define
class _Storm:
    target: Target
    fault: Fault
    probability: float
    rng: Random


class Faults:
    """Every trouble that is on order."""

    def __init__(self) -> None:
        self._scripts: list[_Script] = []
        self._storms: list[_Storm] = []

    def script(self, faults: Iterable[Fault], target: Target) -> None:
        """Order faults for the next requests that fit, one each, in this order."""
        ordered = list(faults)
        if ordered:
            self._scripts.append(_Script(target, ordered))

    def storm(self, fault: Fault, probability: float, target: Target, seed: int) -> None:
        """Order a fault for each request that fits, with a probability."""
        self._storms.append(_Storm(target, fault, probability, Random(seed)))  # noqa: S311  # weather, not a secret

    def clear(self) -> None:
        """Order nothing any more."""
        self._scripts.clear()
        self._storms.clear()

    def take(self, operation: str | None, path: str, account_id: str | None) -> list[Fault]:
        """Return what goes wrong with a request: the next fault of each script that fits, and the storms that hit."""
        taken: list[Fault] = []
        for script in [one for one in self._scripts if one.target.fits(operation, path, account_id)]:
            taken.append(script.faults.pop(0))
            if not script.faults:
                self._scripts.remove(script)
        storms = [storm for storm in self._storms if storm.target.fits(operation, path, account_id)]
        return taken + [storm.fault for storm in storms if storm.rng.random() < storm.probability]


def broken(reply: Reply, fault: Fault) -> Reply:
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
    error = RefusedError(status, _STATUS_TYPES.get(status, "UNKNOWN_ERROR"), "FAKE_FAULT", "This fault was ordered.")
    return Reply(status, error.envelope(), headers)


@define
class Gate:
    """A hard limit on requests; full means 429."""

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
