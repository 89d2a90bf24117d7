"""Calls of the API, through one session.

One call is: a slot at the gate, an attempt, and again if that may help, all under one deadline.
"""

import asyncio
import logging
import re
from typing import Any, TypeVar

import aiohttp
from attrs import define, evolve, field

from pinwheel_async._clock import Clock
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.pacing import Pace
from pinwheel_async._core.reply import api_error, read_reply
from pinwheel_async._core.retry import PUSHBACK_STATUS, RETRYABLE_STATUS, Failure, retry_after_s, worth_repeating
from pinwheel_async._core.wire import Request, Response
from pinwheel_async._fetch import fetch, timeout
from pinwheel_async._gate import Gate
from pinwheel_async._hop import Hops, Secret, next_hop
from pinwheel_async._watch import Drift, show
from pinwheel_async.errors import ClosedError, DeadlineError, TransportError
from pinwheel_async.settings import Settings

T = TypeVar("T")

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""More than anything that the API sends."""

MAX_REDIRECTS = 5

_REDIRECTS = frozenset({307, 308})
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)

_NO_TURN = Failure(reason="its turn did not come in time", sent=False, timed_out=True)

logger = logging.getLogger("pinwheel_async.http")


@define(repr=False, eq=False)
class _Opened:
    """What lives from opening to closing."""

    loop: asyncio.AbstractEventLoop
    session: aiohttp.ClientSession
    owned: bool
    gate: Gate
    calls: set["asyncio.Task[Any]"] = field(factory=set["asyncio.Task[Any]"])
    interrupted: set["asyncio.Task[Any]"] = field(factory=set["asyncio.Task[Any]"])
    """Tasks whose call was cancelled because the client closes."""
    left: asyncio.Event = field(factory=asyncio.Event)
    """Set when the last call has left a client that closes."""


class HttpCaller:
    """Sends requests through one pooled session and reads their replies."""

    def __init__(
        self,
        secret: Secret,
        settings: Settings,
        *,
        session: aiohttp.ClientSession | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.drift = Drift()
        self._hops = Hops(secret, settings)
        self._clock = clock or Clock()
        self._session = session
        self._opened: _Opened | None = None
        self._timeout = timeout(settings.attempt_timeout_s)

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._opened is not None

    @property
    def paused_s(self) -> float:
        """Seconds until requests are sent again after the server asked to slow down; 0 when none wait for that."""
        return self._opened.gate.pace.paused_s(self._clock.monotonic()) if self._opened else 0.0

    async def open(self) -> None:
        """Open the session; nothing happens if it is open.

        Raises:
            ClosedError: It is open in another event loop that still lives.
        """
        loop = asyncio.get_running_loop()
        if self._opened is not None and not self._opened.loop.is_closed():
            _check_loop(self._opened, loop)
            return
        per_s = self.settings.requests_per_s
        pace = Pace(ceiling=self.settings.concurrency, interval_s=1 / per_s if per_s else 0.0)
        self._opened = _Opened(
            loop, self._session or self._new_session(), self._session is None, Gate(pace, self._clock)
        )

    async def close(self) -> None:
        """Cancel the calls that run, which raise `ClosedError`, and close the session if it is ours."""
        opened = self._opened
        if opened is None:
            return
        _check_loop(opened, asyncio.get_running_loop())
        self._opened = None
        try:
            for task in opened.calls:
                opened.interrupted.add(task)
                task.cancel()
            if opened.calls:
                await opened.left.wait()
        finally:
            opened.gate.close()
            if opened.owned:
                await opened.session.close()

    async def call(self, row: Endpoint[T], request: Request) -> T:
        """Send *request*, again if that may help, and decode the answer as *row* says.

        Raises:
            ClosedError: The client is closed, or was closed meanwhile.
            TransportError: No reply came back.
            ApiError: The answer is not a success.
            DecodeError: The answer is not of the documented shape.
        """
        opened = self._opened
        if opened is None:
            raise ClosedError
        _check_loop(opened, asyncio.get_running_loop())
        response = await self._guarded(opened, row, request)
        if not 200 <= response.status < 300:
            after_s = retry_after_s(response.headers.get("retry-after"), self._clock.now())
            raise api_error(row.name, response, retry_after_s=after_s)
        requested = request.version or self.settings.version
        self.drift.answered(row.name, response, requested=requested)
        reply = read_reply(row, response, version=requested)
        if reply.drift:
            self.drift.forgave(row.name, reply.drift)
        show(reply)
        return reply.value

    async def _guarded(self, opened: _Opened, row: Endpoint[Any], request: Request) -> Response:
        """Exchange, in a way that `close` can interrupt."""
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  # coroutines are driven by tasks
            raise AssertionError
        cancelling = task.cancelling()
        opened.calls.add(task)
        try:
            return await self._exchange(opened, row, request)
        except asyncio.CancelledError:
            # As in asyncio.timeout: if somebody else cancelled, too, it stays a cancellation.
            if task not in opened.interrupted or task.uncancel() > cancelling:
                raise
        finally:
            opened.calls.discard(task)
            if opened.interrupted and not opened.calls:
                opened.left.set()
        raise ClosedError("the client was closed during the call")

    async def _exchange(self, opened: _Opened, row: Endpoint[Any], request: Request) -> Response:
        """Attempt until an answer is final, or another attempt makes no sense or has no time."""
        clock, gate, policy = self._clock, opened.gate, self.settings.retry
        outcome: Response | Failure = _NO_TURN
        attempt, sent = 0, False
        now = clock.monotonic()
        deadline = now + self.settings.timeout_s
        while gate.enter_nowait(now) or await gate.enter(deadline):
            attempt += 1
            began = clock.monotonic()
            try:
                outcome = await self._attempt(opened.session, row, request, attempt, deadline)
            finally:
                gate.leave()
            if isinstance(outcome, Response) and outcome.status not in RETRYABLE_STATUS:
                gate.pace.succeeded()
                return outcome
            now = clock.monotonic()
            wait_s = self._wait_s(outcome, attempt)
            self._heed(gate, request, outcome, now=now, began=began, wait_s=wait_s)
            sent = sent or isinstance(outcome, Response) or outcome.sent
            repeat = attempt < policy.attempts and worth_repeating(outcome, repeatable=row.repeatable)
            if not repeat or now + wait_s >= deadline:
                break
            await clock.sleep(wait_s)
            now = clock.monotonic()
        if isinstance(outcome, Response):
            return outcome
        if opened.session.closed:
            raise ClosedError("the session that was given to the client is closed")
        kind = DeadlineError if outcome.timed_out else TransportError
        raise kind(endpoint=request.endpoint, reason=outcome.reason, attempts=attempt, sent=sent)

    def _wait_s(self, outcome: Response | Failure, attempt: int) -> float:
        """Return the seconds to wait after an attempt: what the server asks for, or a random time."""
        asked_s = None
        if isinstance(outcome, Response):
            asked_s = retry_after_s(outcome.headers.get("retry-after"), self._clock.now())
        return asked_s or self.settings.retry.backoff_s(attempt, self._clock.random())

    def _heed(
        self, gate: Gate, request: Request, outcome: Response | Failure, *, now: float, began: float, wait_s: float
    ) -> None:
        """Let every call of this client wait if the server asks for less."""
        if isinstance(outcome, Failure) or outcome.status not in PUSHBACK_STATUS:
            return
        if gate.pace.pushed_back(now, began=began, pause_s=wait_s):
            logger.warning(
                "%s answered %d: all calls wait %.1f s, then at most %d at once",
                request.endpoint,
                outcome.status,
                gate.pace.paused_s(now),
                gate.pace.limit,
                extra={"event": "pushback"},
            )

    async def _attempt(
        self, session: aiohttp.ClientSession, row: Endpoint[Any], request: Request, attempt: int, deadline: float
    ) -> Response | Failure:
        """Send once, under the timeout of one attempt and what the deadline leaves."""
        began = self._clock.monotonic()
        outcome = await self._follow(session, row, request, min(deadline, began + self.settings.attempt_timeout_s))
        if logger.isEnabledFor(logging.DEBUG):
            _log_attempt(request, outcome, attempt, self._clock.monotonic() - began)
        return outcome

    async def _follow(
        self, session: aiohttp.ClientSession, row: Endpoint[Any], request: Request, until: float
    ) -> Response | Failure:
        """Send, and send again where the server says that the resource is for now."""
        hop = self._hops.first(row.auth, request)
        outcome = await fetch(session, request, hop, self._limits(until), MAX_REPLY_BYTES)
        for _ in range(MAX_REDIRECTS):
            if isinstance(outcome, Failure) or outcome.status not in _REDIRECTS:
                break
            following = next_hop(hop, outcome, row=row, has_body=request.body is not None)
            if following is None:
                break
            hop = following
            outcome = await fetch(session, request, hop, self._limits(until), MAX_REPLY_BYTES)
            # Whatever became of it here, the host before had it.
            outcome = evolve(outcome, sent=True) if isinstance(outcome, Failure) else outcome
        return outcome

    def _limits(self, until: float) -> aiohttp.ClientTimeout:
        left_s = until - self._clock.monotonic()
        # The usual value is made once. aiohttp takes 0 for "no timeout", so no time left is a very short one.
        usual = left_s > 0.99 * self.settings.attempt_timeout_s
        return self._timeout if usual else timeout(max(left_s, 0.001))

    def _new_session(self) -> aiohttp.ClientSession:
        # No trace config and no middleware: each costs 4 to 18 microseconds per request, used or not.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.settings.concurrency), cookie_jar=aiohttp.DummyCookieJar()
        )


def _check_loop(opened: _Opened, loop: asyncio.AbstractEventLoop) -> None:
    if opened.loop is not loop:
        raise ClosedError("the client was opened in another event loop: open one client in each loop")


def _log_attempt(request: Request, outcome: Response | Failure, attempt: int, took_s: float) -> None:
    result, request_id = (
        (outcome.reason, None) if isinstance(outcome, Failure) else (str(outcome.status), outcome.request_id)
    )
    logger.debug(
        "%s: %s, attempt %d, %.0f ms, request %s",
        request.endpoint,
        result,
        attempt,
        took_s * 1000,
        request_id if request_id and _ID.fullmatch(request_id) else "unknown",
        extra={"event": "attempt"},
    )
