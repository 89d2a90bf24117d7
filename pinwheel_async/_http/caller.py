"""Calls of the API through one pooled session: limiter, attempts, retries with back-off, redirects, one deadline.

One call is a slot of the limiter and an attempt, and both again while a retry may help, all under one deadline. The
file has over 500 lines because that is one class: each step of a call needs the state of the others.
"""

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from attrs import define, evolve, field

from pinwheel_async._clock import Clock
from pinwheel_async._core.convert import Decoded, DecodeTo
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.parse import is_cut_off
from pinwheel_async._core.reply import api_error, failed_reply, pause_error, read_answer, refusals, reply_of
from pinwheel_async._core.retry import (
    MAX_PAUSE_S,
    RETRYABLE_STATUS,
    SPREAD,
    Failure,
    asks_all_to_wait,
    retry_after_s,
    worth_repeating,
)
from pinwheel_async._core.wire import Request, Response, SignedLink
from pinwheel_async._http.download import download
from pinwheel_async._http.limiter import Refusal, RequestLimiter, is_background
from pinwheel_async._http.observing import Attempt, AttemptHook, Drift, is_capturing, record_reply
from pinwheel_async._http.prepare import PreparedRequest, RequestPreparer, Secret, prepare_redirect, spelling
from pinwheel_async._http.raw import Extras
from pinwheel_async._http.send import send, timeout
from pinwheel_async._http.throttle import Pace, SharedRate
from pinwheel_async._privacy import UUID, Discreet, Unpicklable
from pinwheel_async.endpoints._paged import OnError
from pinwheel_async.errors import (
    ApiError,
    ClosedError,
    DeadlineError,
    DecodeError,
    PinwheelError,
    TransportError,
    loggable,
)
from pinwheel_async.settings import Settings

T = TypeVar("T")

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""Bound for the memory that one answer can take; a page of 100 paystubs, the largest list, has about 150 kB."""

MAX_REDIRECTS = 5
"""The API documents none; these are enough for a move of the host, and a loop of redirects ends soon."""

KEEPALIVE_S = 4.0
"""Seconds that an idle connection waits in the pool for the next call.

Less than the server keeps it: the API's answers name uvicorn, which closes after 5 s by default. A request on a
connection that the server is closing is lost, and one that creates something must not be sent again. A second is enough
for the way of the closing to us; a connection that lives longer would save one handshake after a pause.
"""

_REDIRECTS = frozenset({307, 308})

_NOT_SENT = Failure(reason="not sent", sent=False)

# aiohttp raises where a packed body is broken, but not where one in gzip is cut off.
_CUT_OFF = Failure(reason="ContentEncodingError", sent=True)

ALL = ""
"""Stands for all calls, where others are named by their endpoints."""

logger = logging.getLogger("pinwheel_async.http")


@define(repr=False, eq=False)
class _OpenState(Discreet):
    """State of an open client: made by `open`, dropped by `close`."""

    loop: asyncio.AbstractEventLoop
    session: aiohttp.ClientSession
    owned: bool
    limiter: RequestLimiter
    holders: int = 1
    """Blocks that keep the client open, one in another; whoever opened it first is one of them."""
    pause_causes: dict[str, ApiError] = field(factory=dict[str, ApiError])
    """What answers began the pauses of endpoints, and under `ALL` the one of all calls."""
    calls: set["asyncio.Task[Any]"] = field(factory=set["asyncio.Task[Any]"])
    interrupted: set["asyncio.Task[Any]"] = field(factory=set["asyncio.Task[Any]"])
    """Tasks whose call was cancelled because the client closes."""
    drained: asyncio.Event = field(factory=asyncio.Event)
    """Set when the last call of a client that closes has ended."""


class _Shared:
    """What a caller and its views have together."""

    __slots__ = ("opened",)

    def __init__(self) -> None:
        self.opened: _OpenState | None = None


class HttpCaller(Unpicklable):
    """Sends requests through one pooled session and reads their replies."""

    def __init__(
        self,
        secret: Secret,
        settings: Settings,
        *,
        session: aiohttp.ClientSession | None = None,
        proxy: Secret | None = None,
        tls: ssl.SSLContext | None = None,
        on_attempt: AttemptHook | None = None,
        shared_rate: SharedRate | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.drift = Drift()
        self._preparer = RequestPreparer(secret, settings)
        self._clock = clock or Clock()
        self._session = session
        self._proxy = proxy
        self._tls = tls
        self._on_attempt = on_attempt
        self._shared_rate = shared_rate
        self._shared = _Shared()
        self._extras: Extras | None = None
        self._timeout = timeout(settings.attempt_timeout_s)

    @property
    def _opened(self) -> _OpenState | None:
        return self._shared.opened

    @_opened.setter
    def _opened(self, opened: _OpenState | None) -> None:
        self._shared.opened = opened

    def with_options(self, settings: Settings, extras: Extras) -> "HttpCaller":
        """Return a view that shares session, limiter and drift, with other settings and additions to its requests."""
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        view.settings = settings
        view._extras = extras if self._extras is None else self._extras.merged(extras)
        view._preparer = self._preparer.with_options(settings, view._extras.headers)
        return view

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._opened is not None

    @property
    def paused_s(self) -> float:
        """Seconds until requests are sent again after the server asked to slow down; 0 when none wait for that."""
        return self._opened.limiter.pace.paused_s(self._clock.monotonic()) if self._opened else 0.0

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
        pace = Pace(ceiling=self._ceiling(), interval_s=1 / per_s if per_s else 0.0, shared=self._shared_rate)
        session, limiter = self._session or self._new_session(), RequestLimiter(pace, self._clock)
        self._opened = _OpenState(loop, session, self._session is None, limiter)
        if self._shared_rate is not None:
            try:
                await self._shared_rate.open(self._clock, limiter.grant)
            except BaseException:  # it closes itself, or is another client's
                opened, self._opened = self._opened, None
                if opened.owned:
                    await opened.session.close()
                raise

    def _ceiling(self) -> int:
        """Return how many requests may be in flight: no more than a session of the caller's own has connections.

        The others wait at the limiter, where a wait is not taken for a server that cannot be reached.
        """
        connector = self._session.connector if self._session else None
        limits = (connector.limit, connector.limit_per_host) if connector else ()
        return min([self.settings.concurrency, *(limit for limit in limits if limit > 0)])

    async def enter(self) -> None:
        """Open, or keep open what is open, until `leave`.

        Raises:
            ClosedError: It is open in another event loop that still lives.
        """
        before = self._opened
        await self.open()
        if self._opened is not None and self._opened is before:
            self._opened.holders += 1

    async def leave(self) -> None:
        """Close, unless another block or an `open` keeps it open."""
        opened = self._opened
        if opened is None:
            return
        opened.holders -= 1
        if not opened.holders:
            await self.close()

    async def close(self) -> None:
        """Cancel the calls that run, which raise `ClosedError`, and close the session if it is ours."""
        opened = self._opened
        if opened is None:
            return
        _check_loop(opened, asyncio.get_running_loop())
        self._opened = None  # before the first await, so that no call begins meanwhile
        try:
            for task in opened.calls:
                opened.interrupted.add(task)
                task.cancel()
            if opened.calls:
                await opened.drained.wait()
        finally:
            opened.limiter.close()
            if self._shared_rate is not None:
                await self._shared_rate.close()
            if opened.owned:
                await opened.session.close()

    async def call(
        self,
        row: Endpoint[T],
        request: Request,
        *,
        decode_to: DecodeTo = "models",
        keep_json: bool = False,
        on_error: OnError | None = None,
    ) -> T:
        """Send *request*, again if that may help, and decode the answer as *row*, *decode_to* and *keep_json* say.

        Items of a list that cannot be read are left out, and *on_error* is called for each, unless it is None.

        Raises:
            ClosedError: The client is closed, or was closed meanwhile.
            TransportError: No reply came back.
            ApiError: The answer is not a success.
            DecodeError: The answer is not of the documented shape.
        """
        opened = self._shared.opened
        if opened is None:
            raise ClosedError
        _check_loop(opened, asyncio.get_running_loop())
        if self._extras is not None:
            request = self._extras.applied(request)
        response = await self._interruptible(opened, row, request)
        try:
            answer = self._read(
                row, request, response, decode_to=decode_to, keep_json=keep_json, apart=on_error is not None
            )
        except (ApiError, DecodeError) as error:
            failure = error.with_traceback(None)
        else:
            if answer.drift:
                self.drift.record(row.name, answer.drift)
            if is_capturing():
                record_reply(reply_of(row, response, answer))
            if on_error is not None:
                for refused in refusals(row, response, answer):
                    on_error(refused)
            value: T = answer.data
            return value
        record_reply(failed_reply(row, response, failure))
        try:
            raise failure
        finally:
            del failure  # or the error would hold its own frame, and so itself and the answer, until it is collected

    def _read(
        self,
        row: Endpoint[Any],
        request: Request,
        response: Response,
        *,
        decode_to: DecodeTo,
        keep_json: bool,
        apart: bool,
    ) -> Decoded:
        """Read a final answer.

        Raises:
            ApiError: It is not a success.
            DecodeError: It is not of the documented shape.
        """
        if not 200 <= response.status < 300:
            after_s = retry_after_s(response.headers.get("retry-after"), self._clock.now())
            raise api_error(row.name, response, retry_after_s=after_s)
        requested = request.version or self.settings.version
        self.drift.record_version(row.name, response, requested=requested)
        return read_answer(
            row,
            response,
            version=requested,
            request=request,
            decode_to=decode_to,
            keep_json=keep_json,
            apart=apart,
        )

    async def download(self, link: SignedLink, path: Path | None) -> bytes | int:
        """Fetch the file behind a signed link; return it, or write it to *path* and return its size.

        Raises:
            ClosedError: The client is closed, or was closed meanwhile.
            TransportError: No file came back.
            ApiError: The host answered, and not with success.
        """
        opened = self._opened
        if opened is None:
            raise ClosedError
        _check_loop(opened, asyncio.get_running_loop())
        return await download(opened.session, link, path, settings=self.settings, clock=self._clock)

    async def _interruptible(self, opened: _OpenState, row: Endpoint[Any], request: Request) -> Response:
        """Send with retries, in a way that `close` can interrupt.

        `close` cancels the task of the call, which is the caller's own; here this one cancellation is taken back and
        becomes a `ClosedError`, while any other cancellation goes on.
        """
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  # coroutines are driven by tasks
            raise AssertionError
        cancelling = task.cancelling()
        opened.calls.add(task)
        try:
            return await self._send_with_retries(opened, row, request)
        except asyncio.CancelledError:
            # Counted as in asyncio.timeout: more requests to cancel than when the call began, after `close`'s own is
            # taken back, mean that there was another cancellation, which stays one.
            if task not in opened.interrupted or task.uncancel() > cancelling:
                raise
        finally:
            opened.calls.discard(task)
            if opened.interrupted and not opened.calls:
                opened.drained.set()
        raise ClosedError("the client was closed during the call")

    async def _send_with_retries(self, opened: _OpenState, row: Endpoint[Any], request: Request) -> Response:
        """Attempt until an answer is final, or another attempt makes no sense or has no time."""
        clock, limiter, policy = self._clock, opened.limiter, self.settings.retry
        outcome: Response | Failure = _NOT_SENT
        refusal: Refusal | None = None
        attempt, sent, maybe_done = 0, False, False
        now = ready_at = clock.monotonic()
        deadline = now + self.settings.timeout_s
        while True:
            if not limiter.acquire_nowait(request.endpoint, now):
                refusal = await limiter.acquire(request.endpoint, deadline)
                if refusal is not None:
                    break
                if is_background():
                    deadline += clock.monotonic() - now
                now = clock.monotonic()
            attempt += 1
            began = now
            try:
                sending = self._attempt(opened.session, row, request, attempt, began, deadline)
                outcome = await (
                    sending
                    if self._on_attempt is None
                    else self._observed(sending, self._on_attempt, began - ready_at, request, attempt)
                )
                if isinstance(outcome, Response) and outcome.status not in RETRYABLE_STATUS:
                    limiter.pace.succeeded(request.endpoint, first=attempt == 1)
                    gone = maybe_done and row.method == "DELETE" and outcome.status == 404
                    # An earlier attempt deleted it, and its reply was lost: this is the reply that it would have had.
                    return evolve(outcome, status=204, body=b"") if gone else outcome
                now, asked_s, luck = clock.monotonic(), self._asked_s(outcome), clock.random()
                ready_at = now
                self._slow_down(opened, request, outcome, attempt, now=now, began=began, asked_s=asked_s, luck=luck)
            finally:
                limiter.release()  # only now: before the pause was noted, the next call would slip through
            wait_s = policy.wait_s(attempt, luck, asked_s=asked_s)
            sent = sent or isinstance(outcome, Response) or outcome.sent
            # A 429 was refused by definition; behind any other status, or behind none, the call may have been done.
            maybe_done = maybe_done or (outcome.sent if isinstance(outcome, Failure) else outcome.status != 429)
            if asked_s and asked_s <= MAX_PAUSE_S and is_background():
                deadline += wait_s
            repeat = attempt < policy.attempts and worth_repeating(outcome, repeatable=row.repeatable)
            if not repeat or now + wait_s >= deadline:
                break
            await clock.sleep(wait_s)
            now = clock.monotonic()
        if isinstance(outcome, Response):
            return outcome
        if opened.session.closed:
            raise ClosedError("the session that was given to the client is closed")
        host = urlsplit(self.settings.base_url).netloc
        raise _no_answer(opened, request, refusal if outcome is _NOT_SENT else None, outcome, attempt, host, sent=sent)

    def _asked_s(self, outcome: Response | Failure) -> float | None:
        """Return the seconds that the server asks to wait, if it does."""
        if isinstance(outcome, Failure):
            return None
        return retry_after_s(outcome.headers.get("retry-after"), self._clock.now())

    def _slow_down(
        self,
        opened: _OpenState,
        request: Request,
        outcome: Response | Failure,
        attempt: int,
        *,
        now: float,
        began: float,
        asked_s: float | None,
        luck: float,
    ) -> None:
        """Pause every call of this client, and let fewer be in flight, if the server pushes back or fails often."""
        pace = opened.limiter.pace
        if isinstance(outcome, Failure) or not asks_all_to_wait(outcome, asked_s):
            if pace.failed(now, began=began, first=attempt == 1):
                logger.info(
                    "many calls failed, the last was %s: at most %d at once",
                    request.endpoint,
                    pace.limit,
                    extra={"event": "slowed"},
                )
            return
        beyond = asked_s is not None and asked_s > MAX_PAUSE_S
        # Where the server names no wait, that of a first attempt: how often this call was tried is nothing to others.
        pause_s = self.settings.retry.wait_s(1, luck, asked_s=asked_s)
        if beyond:
            pause_s = MAX_PAUSE_S * (1 - SPREAD * luck)
        cause = pause_error(api_error(request.endpoint, outcome))
        before = pace.paused_until
        is_notable = pace.pushed_back(now, request.endpoint, began=began, pause_s=pause_s, beyond=beyond)
        if pace.paused_until > before:
            opened.pause_causes[ALL] = cause
            if pace.shared is not None:
                pace.shared.push_back(pace.paused_s(now), sent_s=now - began)
        if beyond:
            opened.pause_causes[request.endpoint] = cause
        if is_notable:
            logger.warning(
                "%s answered %d: all calls wait %.1f s, then at most %d at once",
                request.endpoint,
                outcome.status,
                pace.paused_s(now),
                pace.limit,
                extra={"event": "pushback"},
            )

    async def _attempt(
        self,
        session: aiohttp.ClientSession,
        row: Endpoint[Any],
        request: Request,
        attempt: int,
        began: float,
        deadline: float,
    ) -> Response | Failure:
        """Send once, under the timeout of one attempt and what the deadline leaves."""
        until = min(deadline, began + self.settings.attempt_timeout_s)
        prepared = self._preparer.prepare(row.auth, request)
        outcome = await send(session, request, prepared, self._limits(until - began), MAX_REPLY_BYTES)
        if isinstance(outcome, Response):
            if outcome.status in _REDIRECTS:
                outcome = await self._follow(session, row, request, prepared, outcome, until)
            if isinstance(outcome, Response) and "content-encoding" in outcome.headers and _is_cut_off(row, outcome):
                outcome = _CUT_OFF
        if logger.isEnabledFor(logging.DEBUG):
            _log_attempt(request, outcome, attempt, self._clock.monotonic() - began)
        return outcome

    async def _observed(
        self,
        outcome: Coroutine[Any, Any, Response | Failure],
        hook: AttemptHook,
        waited_s: float,
        request: Request,
        number: int,
    ) -> Response | Failure:
        """Await an attempt, and tell the hook before and after it."""
        attempt = Attempt(endpoint=request.endpoint, base_url=self.settings.base_url, number=number, waited_s=waited_s)
        _tell(hook, attempt)
        began = self._clock.monotonic()
        ended: dict[str, Any] = {}
        try:
            result = await outcome
            if isinstance(result, Failure):
                ended["failure"] = result.reason
            else:
                ended.update(status=result.status, request_id=loggable(result.request_id, UUID))
        except BaseException as error:
            ended["failure"] = type(error).__name__
            raise
        finally:
            _tell(hook, evolve(attempt, took_s=self._clock.monotonic() - began, **ended))
        return result

    async def _follow(
        self,
        session: aiohttp.ClientSession,
        row: Endpoint[Any],
        request: Request,
        prepared: PreparedRequest,
        outcome: Response | Failure,
        until: float,
    ) -> Response | Failure:
        """Send again where a temporary or permanent redirect leads; both keep method and body.

        A call that must not be repeated is not sent to a URL twice.
        """
        seen: set[tuple[object, ...]] = set()
        for _ in range(MAX_REDIRECTS):
            if isinstance(outcome, Failure) or outcome.status not in _REDIRECTS:
                break
            seen.add(spelling(prepared.url))
            redirect = prepare_redirect(prepared, outcome, has_body=request.body is not None)
            if redirect is None or (spelling(redirect.url) in seen and not row.repeatable):
                break
            prepared = redirect
            limits = self._limits(until - self._clock.monotonic())
            outcome = await send(session, request, prepared, limits, MAX_REPLY_BYTES)
            # The host that redirected has received the request, whether or not this one has.
            outcome = evolve(outcome, sent=True) if isinstance(outcome, Failure) else outcome
        return outcome

    def _limits(self, left_s: float) -> aiohttp.ClientTimeout:
        # The usual limits are made once and reused, although the call has used some microseconds of its time by now: an
        # attempt may so take 1 % longer. aiohttp takes 0 for "no timeout", so where no time is left it gets 1 ms.
        usual = left_s > 0.99 * self.settings.attempt_timeout_s
        return self._timeout if usual else timeout(max(left_s, 0.001))

    def _new_session(self) -> aiohttp.ClientSession:
        # No trace config and no middleware: each costs 4 to 18 microseconds per request, used or not. No cookies: the
        # API knows a client by its headers. The pool has a connection for every slot: calls queue at the limiter only.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.settings.concurrency,
                keepalive_timeout=KEEPALIVE_S,
                ssl=True if self._tls is None else self._tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._proxy.reveal() if self._proxy else None,
        )
        # Sentry and other instrumentors add trace configs to every new session, by default. What they record of a
        # request is its URL, and in it ids, cursors and numbers of employers; and they add headers of their own to it.
        session.trace_configs.clear()
        return session


def _check_loop(opened: _OpenState, loop: asyncio.AbstractEventLoop) -> None:
    if opened.loop is not loop:
        raise ClosedError("the client was opened in another event loop: open one client in each loop")


def _tell(hook: AttemptHook, attempt: Attempt) -> None:
    try:
        hook(attempt)
    except Exception as error:  # noqa: BLE001  # a hook only looks on, so it breaks no call
        # Without its text and traceback: nobody knows what they hold.
        logger.error("the hook on_attempt raised %s", type(error).__name__, extra={"event": "hook_failed"})  # noqa: TRY400


def _is_cut_off(row: Endpoint[Any], response: Response) -> bool:
    """Whether a packed answer of success was cut off before the end of what it should hold."""
    return row.result is not None and response.status < 300 and is_cut_off(response.body)


def _no_answer(
    opened: _OpenState,
    request: Request,
    refusal: Refusal | None,
    failure: Failure,
    attempts: int,
    host: str,
    *,
    sent: bool,
) -> PinwheelError:
    """Build the error of a call without an answer: the *refusal* of its line, or the *failure* of its last attempt."""
    if refusal is None:
        kind = DeadlineError if failure.timed_out else TransportError
        return kind(endpoint=request.endpoint, reason=failure.reason, attempts=attempts, sent=sent, host=host)
    if refusal.cause in {"pause", "endpoint_pause"}:
        cause = opened.pause_causes[ALL if refusal.cause == "pause" else request.endpoint]
        return pause_error(cause, unsent=request.endpoint, retry_after_s=refusal.wait_s)
    rate = "requests_per_s" if opened.limiter.pace.shared is None else "pace"
    reason = rate if refusal.cause == "rate" else "concurrency"
    return DeadlineError(endpoint=request.endpoint, reason=reason, attempts=0, sent=False, wait_s=refusal.wait_s)


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
        loggable(request_id, UUID) or "unknown",
        extra={"event": "attempt"},
    )
