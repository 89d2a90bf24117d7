"""Receiver without a web framework: headers and body in, status out."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Self

from attrs import frozen

from pinwheel_async._clock import Clock
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._core.signature import Reason, Verdict, check_headers
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._arguments import check_arguments, check_at_least, check_more_than_0
from pinwheel_async.webhooks._body import ByteBudget
from pinwheel_async.webhooks._delivery import (
    DEFAULT_MAX_BODY_BYTES,
    Delivery,
    Headers,
    as_bytes,
    authenticate,
    clean,
    lowered,
    make_delivery,
)
from pinwheel_async.webhooks._health import Health, HealthProblem, SharedLook, status_of
from pinwheel_async.webhooks._hooks import Hooks, StoredDelivery
from pinwheel_async.webhooks._inbox.base import Counts, Inbox, check_inbox_argument
from pinwheel_async.webhooks._metrics import Metric, Telemetry, label_of, metrics_of
from pinwheel_async.webhooks._refusals import RefusalReason, Refusals
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._secrets import GivenSecrets, SecretFunction, SecretSource
from pinwheel_async.webhooks._time_limit import TimeLimit
from pinwheel_async.webhooks._worker.dispatch import Dispatcher
from pinwheel_async.webhooks._worker.error_chain import error_chain
from pinwheel_async.webhooks._worker.run import MAX_OPEN_RETRY_S, OPEN_RETRY_S
from pinwheel_async.webhooks._worker.worker import DEFAULT_RETRY, Worker

_log = logging.getLogger("pinwheel_async.webhooks")

DEFAULT_MAX_BUFFERED_BYTES = 64 * 1024 * 1024
"""What all deliveries that are being read and stored may take at once: three of the longest, or 6,400 small ones."""

PUT_BYTES = 10 * 1024
"""What a delivery takes beside its body while it waits to be stored: connection, request and task, 10.2 kB measured."""

ANSWER_S = 10.0
"""Seconds from the arrival of a delivery within which it must be stored. The sender gives up after 15, and whether it
takes an answer that it no longer waits for as a reason to come again is unknown."""

MIN_PUT_S = 2.0
"""Seconds that an inbox has at least, where the body took long to come: with `read_timeout_s` it is still in time."""

RETRY_AFTER_S = 5
"""Seconds after which a sender that is refused is asked to come again."""


@frozen
class Answer:
    """Answer to a delivery: its status and headers; there is no body."""

    status: int
    headers: Mapping[str, str]


OK = Answer(200, {})
UNAUTHORIZED = Answer(401, {})
FAILED = Answer(500, {})
UNAVAILABLE = Answer(503, {"Retry-After": str(RETRY_AFTER_S)})

_SIGNATURE_REASONS: Mapping[Reason, RefusalReason] = {
    "missing": "signature_missing",
    "malformed": "signature_malformed",
    "stale": "signature_stale",
    "early": "signature_early",
    "wrong": "signature_wrong",
}


_NOT_STARTED = "the receiver is not started, or was stopped: `async with receiver`, or `await receiver.start()`"

RECOVERY_S = 1.0
"""Seconds until an inbox that hung, and failed then, is asked again whether it stores."""


class Receiver:
    """Verifies, stores and acknowledges deliveries, and works through what is stored.

    With an inbox, a delivery is answered 200 once it is stored, and handled after that. Without one, its handlers run
    before the answer, and a failure is answered 500, so that the sender's own retries are the retry.

    Use it directly to receive in another framework than aiohttp. Until it has started, deliveries are answered 503.

    ```python
    async with Receiver(router, [api_secret], inbox=SqliteInbox("inbox.db")) as receiver:  # while the server runs
        answer = await receiver.receive(headers, body)  # for each request: answer with answer.status and answer.headers
    ```

    Where there is no block around the server, `await receiver.start()` at its start and `await receiver.stop()` at its
    end.

    Args:
        router: Router with the handlers to run.
        secrets: The API secrets that may have signed: a list, a mapping from names of your own to secrets, a `KeyRing`,
            or a function, which may be asynchronous, that returns one of these. A function is asked at the start, every
            minute, and when a signature fits no secret, so that a secret can be changed while the receiver runs. What
            fits none is answered 401 only if it was asked since.
        inbox: Where deliveries are safe before they are acknowledged; None to handle before the answer. A `put` that
            takes ten seconds is cancelled; whether it has stored something by then shows when the sender repeats.
        max_age_s: Refuse deliveries whose signed time is further than this from now, in either direction. Off by
            default: it is not known whether the sender signs its retries, up to 15 minutes later, again. Against
            replays the inbox helps better, as it remembers event ids.
        version: Webhook version to assume where a delivery states none.
        concurrency: Most accounts worked on side by side. Those whose handlers take longer than 2 seconds do not count,
            so that a crowd of accounts whose handlers hang does not hold up the others; with them, there are at most
            ten times as many.
        lease_s: Seconds after which what a worker has claimed and not renewed may be claimed again: the longest that a
            crash holds up the accounts that were being worked on, unless the inbox knows that it has no other user.
            Workers that share an inbox need a lease that is longer than their event loops may be blocked.
        retry: How often and how patiently a failed event comes again, for handlers without a policy of their own. Waits
            are at least half of what it allows; by default 14 attempts take 3.1 to 6.3 hours.
        timeout_s: Seconds that one run of a handler may take, for handlers without a limit of their own.
        shutdown_timeout_s: Seconds that running handlers get to finish when the receiver stops, before they are
            cancelled and their deliveries given back.
        hold_stuck: Whether an account waits for a handler that goes on although it was cancelled, because its time was
            over. Off by default: a handler that never ends would hold up its account until the process ends, while its
            next runs may do no harm beside it. Switch it on where two runs of one account must not overlap. Needs an
            inbox.
        log_exceptions: Whether the log shows exceptions of handlers with their texts and tracebacks, for those who
            accept payroll data in their logs. Without, it shows types, files and lines only.
        work: Whether what is stored is handled here, too. Without, other processes have to do it: see `work()`.
        app: What handlers find as `context.app`.
        max_body_bytes: Longest body, inflated if it is compressed; a longer one is answered 503 and logged as an error.
        max_buffered_bytes: Most bytes of all deliveries that are being read and stored; what goes beyond is answered
            503, as when a disk hangs.
        on_refused: Function that is called with the `RefusalReason` and the status of each delivery that is not
            answered 200; may be asynchronous. What it raises is logged by its kind.
        clock: Source of time of the worker, for tests; the inbox has one of its own.
        on_stored: Function that is called with a `StoredDelivery` for each that the inbox has stored or knew already;
            may be asynchronous. What it raises is logged by its kind. Without an inbox it is not called.
        telemetry: What records spans and metrics, such as `pinwheel_async.otel.WebhookRecorder()`; one for each
            receiver.

    Raises:
        ConfigurationError: There is no secret, one cannot be a secret, a number is too small, or an argument is of
            another kind.
    """

    @without_locals
    def __init__(
        self,
        router: Router,
        secrets: GivenSecrets | SecretFunction,
        *,
        inbox: Inbox | None = None,
        max_age_s: float | None = None,
        version: str | None = None,
        concurrency: int = 16,
        lease_s: float = 15.0,
        retry: RetryPolicy = DEFAULT_RETRY,
        timeout_s: float | None = None,
        shutdown_timeout_s: float = 10.0,
        hold_stuck: bool = False,
        log_exceptions: bool = False,
        work: bool = True,
        app: Any = None,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_buffered_bytes: int = DEFAULT_MAX_BUFFERED_BYTES,
        on_refused: Callable[[RefusalReason, int], object] | None = None,
        on_stored: Callable[[StoredDelivery], object] | None = None,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_inbox_argument(inbox)
        check_arguments(router, retry, version, on_refused=on_refused, on_stored=on_stored)
        check_at_least(0, shutdown_timeout_s=shutdown_timeout_s, max_age_s=max_age_s)
        check_at_least(1, concurrency=concurrency, max_body_bytes=max_body_bytes, max_buffered_bytes=max_buffered_bytes)
        check_more_than_0(lease_s=lease_s, timeout_s=timeout_s)
        if not 1 <= max_body_bytes <= max_buffered_bytes - PUT_BYTES:
            raise ConfigurationError(
                f"max_body_bytes must be more than 0, and {PUT_BYTES} less than max_buffered_bytes, so that one fits in"
            )
        self._secrets = SecretSource(secrets)
        self._inbox = inbox
        self._max_age_s = max_age_s
        # Without an inbox the sender waits for the handlers, and gives up after 15 seconds.
        limit = timeout_s if timeout_s is not None else (10.0 if inbox is None else 30.0)
        self._dispatcher = Dispatcher(
            router,
            timeout_s=limit,
            version=version,
            app=app,
            hold_stuck=hold_stuck and inbox is not None,
            log_exceptions=log_exceptions,
            telemetry=telemetry,
        )
        self._telemetry = telemetry
        self._router = router
        self._shutdown_timeout_s = shutdown_timeout_s
        self._worker: Worker | None = None
        if inbox is None and not work:
            raise ConfigurationError("a receiver that only stores needs an inbox")
        if inbox is not None and work:
            self._worker = Worker(
                inbox,
                self._dispatcher,
                concurrency=concurrency,
                lease_s=lease_s,
                retry=retry,
                clock=clock,
            )
        self._max_body_bytes = max_body_bytes
        self.buffered: ByteBudget = ByteBudget(max_buffered_bytes)
        """What bodies that are being read, and deliveries that are being stored, may take."""
        self._hooks = Hooks()
        self._on_stored = on_stored
        self._refusals = Refusals(self._hooks, on_refused)
        self._signed_by: Counter[str] = Counter()
        self._look = SharedLook(self._look_at_inbox, lambda: self._health_of(None))
        self._put_limit = TimeLimit()
        self._late_bytes: int = 0
        """What deliveries take that were not stored in time."""
        self._recovering: asyncio.Task[None] | None = None
        self._started = False
        self._is_open = False
        self._opening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop; see `stop`."""
        await self.stop()

    async def cleanup_ctx(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  # aiohttp passes it
        """Receive while an aiohttp application runs: `app.cleanup_ctx.append(receiver.cleanup_ctx)`."""
        async with self:
            yield

    def __repr__(self) -> str:
        """Return whether it takes deliveries."""
        return f"<Receiver {'open' if self._is_open else 'opening' if self._started else 'not started'}>"

    async def start(self) -> None:
        """Open the inbox and start working; no handler can be registered from now on.

        While another process holds the inbox, deliveries are answered 503, and it is opened as soon as that lets go.

        Raises:
            InboxError: The inbox cannot be opened, for a reason that time does not cure.
            ConfigurationError: It is in use by a receiver with another router, or the function for secrets gives none.
        """
        if self._started:
            return
        self._router.freeze()
        if not self._router.handlers():
            _log.warning("the router has no handlers: what comes is acknowledged, and nothing is done with it")
        await self._secrets.open()
        try:
            await self._open()
        except InboxError as error:
            if not error.is_transient:
                raise
            _log_not_open(error)
            self._opening = asyncio.create_task(self._open_later(), name="pinwheel opening")
        self._started = True
        if self._telemetry is not None:
            self._telemetry.attach(self.metrics, self.health)

    async def _open(self) -> None:
        if self._inbox is not None:
            await self._inbox.open()
            self._inbox.attach(self._router)
        if self._worker is not None:
            self._worker.start()
        self._is_open = True

    async def _open_later(self) -> None:
        """Try to open the inbox until that succeeds."""
        pause_s = OPEN_RETRY_S
        while not self._is_open:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_OPEN_RETRY_S)
            try:
                await self._open()
            except Exception as error:  # noqa: BLE001  # the server runs already: all that helps is to try and to tell
                _log_not_open(error)
            else:
                _log.warning("the inbox is open now")

    async def drain(self) -> None:
        """Claim nothing more, let running handlers finish; deliveries are still stored until `stop`."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait({opening})
        if self._worker is not None:
            await self._worker.stop(self._shutdown_timeout_s)

    async def stop(self) -> None:
        """Take no more deliveries, let running handlers finish, leave the rest in the inbox, close it."""
        if not self._started:
            return
        self._is_open = self._started = False
        if self._telemetry is not None:
            self._telemetry.detach()
        await self.drain()
        recovering, self._recovering = self._recovering, None
        if recovering is not None:
            recovering.cancel()
            self.buffered.give(self._late_bytes)
            self._late_bytes = 0
        if self._inbox is not None:
            self._inbox.detach(self._router)
            await self._inbox.close()
        await self._secrets.close()
        self._refusals.close()
        await self._hooks.finish(self._shutdown_timeout_s)

    @without_locals
    def check_headers(self, headers: Headers) -> Answer | None:
        """Return the answer to a request whose headers rule out that it is authentic; None if its body is to be read.

        Call it before the body is read, so that nobody without a signature makes this process hold bodies.

        Raises:
            ConfigurationError: These are no headers.
        """
        if not self._is_open:
            return self._refuse_closed()
        found = lowered(headers)
        verdict = check_headers(found.get("x-pinwheel-signature"), found.get("x-timestamp"))
        return None if verdict is None else self._refuse_signature(verdict)

    @without_locals
    async def receive(self, headers: Headers, body: bytes, *, waited_s: float = 0.0) -> Answer:
        """Take one delivery.

        Args:
            headers: The request's headers: a mapping, or pairs of name and value as in ASGI, in whatever case.
            body: The raw bytes, before any decoding. Compressed ones may be given as they came, or inflated, with their
                `content-encoding`.
            waited_s: Seconds since the request arrived. The sender gives up after 15, so it is answered before that.

        Returns:
            200 when it is stored, known already, or handled; 401 when it is not authentic; 503 when it could not be
            stored; 500 when a handler failed and there is no inbox. Whatever is authentic is never refused with a 4xx,
            because the sender does not repeat a delivery that was refused so.

        Raises:
            ConfigurationError: These are no headers, or the body is not bytes.
        """
        return await self.take(lowered(headers), as_bytes(body), waited_s)

    async def take(self, headers: Mapping[str, str], body: bytes, waited_s: float) -> Answer:
        """Take one delivery whose headers are `lowered`; an error may hold what was sent in its frames."""
        if not self._is_open:
            return self._refuse_closed()
        if len(body) > self._max_body_bytes:
            return self.check_headers(headers) or self.refuse("body_too_large")
        asked = self._secrets.asked
        authenticated = self._authenticate(headers, body)
        if not isinstance(authenticated, str) and authenticated[0].reason == "wrong":
            began = monotonic()
            authenticated = await self._authenticate_anew(
                headers, body, asked, max(ANSWER_S - MIN_PUT_S - waited_s, 0), authenticated
            )
            waited_s += monotonic() - began
        if isinstance(authenticated, str):
            return self.refuse(authenticated)
        verdict, body = authenticated
        if verdict.key is None or verdict.reason != "ok":
            return self._refuse_signature(verdict)
        self._signed_by[verdict.key] += 1
        if self._inbox is None:
            return await self._handle(headers, body, verdict.key)
        return await self._put(self._inbox, make_delivery(headers, body, key=verdict.key), waited_s)

    def _authenticate(self, headers: Mapping[str, str], body: bytes) -> "tuple[Verdict, bytes] | RefusalReason":
        return authenticate(
            self._secrets.ring, headers, body, max_age_s=self._max_age_s, max_body_bytes=self._max_body_bytes
        )

    async def _authenticate_anew(
        self,
        headers: Mapping[str, str],
        body: bytes,
        asked: int,
        limit_s: float,
        verdict: "tuple[Verdict, bytes] | RefusalReason",
    ) -> "tuple[Verdict, bytes] | RefusalReason":
        """Authenticate with the secrets of now what fits none of those of before."""
        size, ring = len(body) + PUT_BYTES, self._secrets.ring
        if not self.buffered.take(size):  # the function may take its time, and anybody may send long bodies
            return "overloaded"
        try:
            all_tried = await self._secrets.renew(asked, limit_s)
        finally:
            self.buffered.give(size)
        if self._secrets.ring is not ring:
            verdict = self._authenticate(headers, body)
        is_wrong = not isinstance(verdict, str) and verdict[0].reason == "wrong"
        return "secrets_not_renewed" if is_wrong and not all_tried else verdict

    def refuse(self, reason: RefusalReason, detail: str = "") -> Answer:
        """Count, log and report a refusal; return its answer."""
        answer = FAILED if reason == "handler_failed" else UNAVAILABLE
        self._refusals.add(reason, answer.status, detail)
        return answer

    def _refuse_closed(self) -> Answer:
        return self.refuse("not_open", "" if self._started else _NOT_STARTED)

    def _refuse_signature(self, verdict: Verdict) -> Answer:
        self._refusals.add(_SIGNATURE_REASONS[verdict.reason], UNAUTHORIZED.status)
        return UNAUTHORIZED

    async def _handle(self, headers: Mapping[str, str], body: bytes, key: str) -> Answer:
        """Run the handlers of a delivery before it is answered, where there is no inbox."""
        version = clean(headers.get("pinwheel-version"))
        run = await self._dispatcher.run((headers, body, key), body, version)
        if run.problems:
            # There is no inbox to keep it in and no handler for it: a retry would not help.
            event_id = make_delivery(headers, body, key=key).event_id
            _log.error("event %s cannot be read and is lost: %s", event_id, "; ".join(run.problems))
        return self.refuse("handler_failed") if run.failures else OK

    async def _put(self, inbox: Inbox, delivery: Delivery, waited_s: float) -> Answer:
        """Store a delivery, and answer in time."""
        size = len(delivery.body) + PUT_BYTES
        if not self.buffered.take(size):
            return self.refuse("overloaded")
        limit_s = max(ANSWER_S - waited_s, MIN_PUT_S)
        event_id, began = delivery.event_id, monotonic()
        try:
            new = await self._put_limit.wait(inbox.put(delivery), limit_s)
        except (InboxError, TimeoutError) as error:
            # An inbox may have a time limit of its own; what it has given up waiting for may lie in its queue as well.
            if isinstance(error, InboxError) and error.reason != "Timeout":
                return self.refuse("not_stored", f"event {event_id} is not stored: {error}")  # no values in it
            self._keep_taken(inbox, size)
            size = 0
            return self.refuse(
                "not_stored_in_time", f"event {event_id} is not stored within {limit_s:g} s: a disk hangs?"
            )
        except Exception as error:  # noqa: BLE001  # whatever an inbox raises, the sender should retry
            return self.refuse("not_stored", f"event {event_id} is not stored: {type(error).__name__}")
        finally:
            self.buffered.give(size)
        self._dispatcher.counters.add_put(delivery.event, new=new)
        self._trace_put(delivery, monotonic() - began, new=new)
        if not new:
            _log.debug("event %s is known already", event_id)
        if self._on_stored is not None:
            stored = StoredDelivery(
                event_id=event_id, event=delivery.event, ordering_key=delivery.ordering_key, new=new
            )
            self._hooks.call("on_stored", self._on_stored, stored)
        return OK

    def _trace_put(self, delivery: Delivery, seconds: float, *, new: bool) -> None:
        if self._telemetry is None:
            return
        event, event_id = label_of(delivery.event), delivery.event_id
        try:
            self._telemetry.stored(event, event_id, seconds, clean(delivery.traceparent), new=new)
        except Exception as error:  # noqa: BLE001  # what only observes may not refuse what is stored
            _log.error("telemetry failed: %s", error_chain(error))

    def _keep_taken(self, inbox: Inbox, size: int) -> None:
        """Keep what a late delivery takes, which the inbox may hold still, until the inbox answers again."""
        self._late_bytes += size
        if self._recovering is None:
            self._recovering = asyncio.create_task(self._recover(inbox), name="pinwheel recovery")

    async def _recover(self, inbox: Inbox) -> None:
        """Wait until an inbox that hung stores something, and with it all that it was given before."""
        while self._late_bytes:
            late_bytes = self._late_bytes
            try:
                await inbox.save("health", b"ok")
            except Exception:  # noqa: BLE001  # each delivery that is refused is logged; this only waits
                await asyncio.sleep(RECOVERY_S)
            else:
                self.buffered.give(late_bytes)
                self._late_bytes -= late_bytes
        self._recovering = None

    async def health(self) -> Health:
        """Look whether deliveries can be stored, and what became of them; never raises for an inbox that fails.

        It is cheap to call often: one look, which writes into the inbox, serves everybody for a second.
        """
        return await self._look.get()

    def metrics(self, health: Health | None = None) -> tuple[Metric, ...]:
        """Return the metrics of this receiver: counts since it was made, and with a health also what is so now.

        Args:
            health: What `health` has returned; None leaves out what only the inbox knows.
        """
        has_looked = health is not None
        return metrics_of(self._dispatcher.counters, health or self._health_of(None), has_looked=has_looked)

    async def _look_at_inbox(self) -> Health:
        if self._inbox is None or not self._is_open:
            return self._health_of(None)
        await self._inbox.save("health", b"ok")
        return self._health_of(await self._inbox.counts())

    def _health_of(self, counts: Counts | None) -> Health:
        """Return the health with these counts; null where they could not be read."""
        stored = self._is_open and self._inbox is not None
        alive = None if self._worker is None else self._worker.is_alive
        stuck = 0 if self._worker is None else self._worker.stuck
        found: dict[HealthProblem, bool] = {
            "not_open": not self._is_open,
            "cannot_store": stored and counts is None,
            "worker_ended": stored and alive is False,
            "dead_deliveries": counts is not None and counts.dead > 0,
            "stuck_handlers": stuck > 0,
        }
        problems: tuple[HealthProblem, ...] = tuple([problem for problem, is_found in found.items() if is_found])
        return Health(
            status=status_of(problems),
            problems=problems,
            waiting=None if counts is None else counts.waiting,
            claimed=None if counts is None else counts.claimed,
            dead=None if counts is None else counts.dead,
            oldest_waiting_s=None if counts is None else counts.oldest_waiting_s,
            disk_free_bytes=None if counts is None else counts.disk_free_bytes,
            worker_alive=alive,
            stuck_handlers=stuck,
            refused={str(reason): count for reason, count in self._refusals.counts.items()},
            signed_by={**dict.fromkeys(self._secrets.names, 0), **self._signed_by},
        )


def _log_not_open(error: Exception) -> None:
    why = error if isinstance(error, InboxError) else type(error).__name__  # no values in either
    _log.error("the inbox cannot be opened yet, so deliveries are answered 503: %s", why)
