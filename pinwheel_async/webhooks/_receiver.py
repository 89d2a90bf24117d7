"""The receiver without a web framework: headers and body in, status out."""

import logging
import math
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from attrs import frozen

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._core.signature import KeyRing
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._delivery import clean, make_delivery
from pinwheel_async.webhooks._dispatch import Dispatcher
from pinwheel_async.webhooks._inbox import Counts, Inbox
from pinwheel_async.webhooks._parse import authenticate
from pinwheel_async.webhooks._router import Router
from pinwheel_async.webhooks._worker import PATIENT, Worker

_log = logging.getLogger("pinwheel_async.webhooks")

CROWD = 16
"""Deliveries that wait to be stored at the same time, and go before the handling of what is stored."""

CROWDED_S = 0.02
"""Seconds that a crowd is taken to last."""

RETRY_AFTER_S = 5
"""What a refused sender is told to wait."""


@frozen
class Answer:
    """What to answer a delivery with; there is no body."""

    status: int
    headers: Mapping[str, str]


OK = Answer(200, {})
UNAUTHORIZED = Answer(401, {})
FAILED = Answer(500, {})
UNAVAILABLE = Answer(503, {"Retry-After": str(RETRY_AFTER_S)})


class Receiver:
    """Verifies, stores and acknowledges deliveries, and works through what is stored.

    With an inbox, a delivery is answered 200 once it is stored, and handled after that. Without one, its handlers run
    before the answer, and a failure is answered 500, so that the sender's own retries are the retry.

    Use it directly to receive in another framework than aiohttp: `await receiver.start()` at its start,
    `await receiver.receive(headers, body)` per request, `await receiver.stop()` at its end.

    Args:
        router: Whose handlers to run.
        secrets: The API secrets that may have signed: a list, or a mapping from names of your own to secrets.
        inbox: Where deliveries are safe before they are acknowledged; None to handle before the answer.
        max_age_s: Refuse deliveries whose signed time is further than this from now, in either direction. Off by
            default: it is not known whether the sender signs its retries, up to 15 minutes later, anew. Against
            replays the inbox helps better, as it remembers event ids.
        version: Webhook version to assume where a delivery states none.
        concurrency: Most accounts worked on side by side.
        lease_s: Seconds after which what a worker has claimed and not renewed may be claimed again: the longest that a
            crash holds up the accounts that were being worked on, unless the inbox knows that nobody else is there.
            Workers that share an inbox need one that is longer than their event loops may be blocked.
        retry: How often and how patiently a failed event comes again, for handlers without a policy of their own.
        timeout_s: Seconds that one run of a handler may take, for handlers without a limit of their own.
        drain_s: Seconds that running handlers get to finish when the receiver stops.
        app: What handlers find as `context.app`.

    Raises:
        ConfigurationError: There is no secret, one cannot be a secret, or a number is too small.
    """

    def __init__(
        self,
        router: Router,
        secrets: Sequence[str] | Mapping[str, str],
        *,
        inbox: Inbox | None = None,
        max_age_s: float | None = None,
        version: str | None = None,
        concurrency: int = 16,
        lease_s: float = 15.0,
        retry: RetryPolicy = PATIENT,
        timeout_s: float | None = None,
        drain_s: float = 10.0,
        app: Any = None,
    ) -> None:
        if concurrency < 1 or lease_s <= 0 or drain_s < 0 or (timeout_s is not None and timeout_s <= 0):
            raise ConfigurationError("concurrency, lease_s and timeout_s must be more than 0, drain_s not less")
        self._ring = KeyRing(secrets)
        self._inbox = inbox
        self._max_age_s = max_age_s
        # Without an inbox the sender waits for the handlers, and gives up after 15 seconds.
        limit = timeout_s if timeout_s is not None else (10.0 if inbox is None else 30.0)
        self._dispatcher = Dispatcher(router, timeout_s=limit, version=version, app=app)
        self._router = router
        self._drain_s = drain_s
        self._worker: Worker | None = None
        if inbox is not None:
            self._worker = Worker(
                inbox,
                self._dispatcher,
                concurrency=concurrency,
                lease_s=lease_s,
                retry=retry,
                is_crowded=self._is_crowded,
            )
        self._arriving = 0
        self._crowded_at = -math.inf
        self._started = False

    async def start(self) -> None:
        """Open the inbox and start working; no handler can be registered from now on.

        Raises:
            InboxError: The inbox cannot be opened.
        """
        if self._started:
            return
        self._router.freeze()
        if self._inbox is not None and self._worker is not None:
            await self._inbox.open()
            self._worker.start()
        self._started = True

    async def drain(self) -> None:
        """Claim nothing more, let running handlers finish; deliveries are still stored until `stop`."""
        if self._worker is not None:
            await self._worker.stop(self._drain_s)

    async def stop(self) -> None:
        """Take no more deliveries, let running handlers finish, leave the rest in the inbox, close it."""
        if not self._started:
            return
        self._started = False
        await self.drain()
        if self._inbox is not None:
            await self._inbox.close()

    async def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Take one delivery.

        Args:
            headers: The request's headers, in whatever case.
            body: The raw bytes, before any decoding.

        Returns:
            200 when it is stored, known already, or handled; 401 when it is not authentic; 503 when it could not be
            stored; 500 when a handler failed and there is no inbox. Whatever is authentic is never refused, because
            the sender does not repeat what was refused.
        """
        if not self._started:
            return UNAVAILABLE
        verdict, headers = authenticate(self._ring, headers, body, max_age_s=self._max_age_s)
        if verdict.key is None or verdict.reason != "ok":
            _log.info("refused a delivery: signature %s", verdict.reason)
            return UNAUTHORIZED
        if self._inbox is None:
            dispatcher, source = self._dispatcher, (headers, body, verdict.key)
            course = dispatcher.begin(source, body, clean(headers.get("pinwheel-version")))
            if waiting := dispatcher.advance(course):
                await dispatcher.follow(course, waiting)
            if course.problems:
                # Nowhere to keep it, and no handler wants it: repeating it would not help.
                event_id = make_delivery(headers, body, key=verdict.key).event_id
                _log.error("event %s cannot be read and is lost: %s", event_id, "; ".join(course.problems))
            return FAILED if course.failures else OK
        delivery = make_delivery(headers, body, key=verdict.key)
        self._arriving += 1
        if self._arriving == CROWD:
            self._crowded_at = monotonic()
        try:
            new = await self._inbox.put(delivery)
        except InboxError as error:
            _log.error("event %s is not stored: %s", delivery.event_id, error)  # no values in it
            return UNAVAILABLE
        except Exception as error:  # noqa: BLE001  # whatever an inbox raises, the sender is to try again
            _log.error("event %s is not stored: %s", delivery.event_id, type(error).__name__)
            return UNAVAILABLE
        finally:
            self._arriving -= 1
        if not new:
            _log.debug("event %s is known already", delivery.event_id)
        return OK

    def _is_crowded(self) -> bool:
        return monotonic() - self._crowded_at < CROWDED_S

    async def health(self) -> Counts | None:
        """Return what the inbox holds after storing something in it; None without an inbox.

        Raises:
            InboxError: It cannot store.
        """
        if self._inbox is None:
            return None
        await self._inbox.save("health", b"ok")
        return await self._inbox.counts()
