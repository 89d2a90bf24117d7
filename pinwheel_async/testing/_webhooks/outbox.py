"""Outbox of webhooks: sends each event to every webhook that lists it, with retries, and records every attempt."""

import asyncio
import math
import re
from asyncio import AbstractEventLoop, Task
from collections import deque
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import attrs
from attrs import field, frozen

from pinwheel_async._clock import time_limit
from pinwheel_async._privacy import Discreet
from pinwheel_async.testing._clock import Alarm, ClockHold, FakeClock
from pinwheel_async.testing._webhooks.body import OutgoingEvent
from pinwheel_async.testing._webhooks.delivery_faults import Copy, DeliveryFaults
from pinwheel_async.testing._webhooks.signed import SignedDelivery, signed_delivery, with_body
from pinwheel_async.testing._world.records import Record
from pinwheel_async.testing._world.resources import LOOPBACK_URL
from pinwheel_async.testing._world.world import World

# As documented for the API: a timeout of 15 seconds, 5 retries within 15 minutes, and a pause after 30 days of failure.
TIMEOUT_S = 15.0
RETRIES = 5
PAUSED_AFTER = timedelta(days=30)

KEPT_ATTEMPTS = 10_000
_FIRST_BACKOFF_S = 25.0  # doubled each time: with 15 seconds for each attempt the last one begins within 15 minutes
_HELD_BACK_FOR_S = 10.0
_OVERTAKEN_BY_S = 0.5


@frozen(kw_only=True)
class Attempt:
    """One attempt to deliver an event to a webhook."""

    event_id: str
    """The same in every repetition."""
    event: str
    webhook_id: str
    attempt: int
    """Number of the attempt, from 1."""
    status: int | None
    """Status of the answer; null for a network error, or no answer in 15 seconds."""
    at: datetime
    """When it was sent."""
    corrupt: bool = False
    """Whether it was sent with a wrong signature, as `webhook_faults` asked."""


class Post(Protocol):
    """Function that sends a delivery and returns the status of the answer, None if there was none."""

    async def __call__(self, url: str, delivery: SignedDelivery, /) -> int | None:
        """Send it."""
        ...


@frozen(kw_only=True)
class PendingDelivery:
    """One copy of an event on its way to a webhook."""

    webhook_id: str
    event: OutgoingEvent
    copy: Copy
    attempt: int = 1
    stamp: int | None = None
    """Unix seconds that the first attempt was signed with."""


@frozen
class _HeldBack:
    """Deliveries that wait for the next one to overtake them."""

    deliveries: list[PendingDelivery]
    alarm: Alarm


@frozen(kw_only=True, repr=False, eq=False)
class Outbox(Discreet):
    """Sends events by a clock, several at the same time."""

    world: World
    clock: FakeClock
    post: Post
    loop: AbstractEventLoop
    api_secret: str
    resign_retries: bool
    patience_s: float
    attempts: deque[Attempt]
    forwards: dict[str, str]
    sent: dict[str, OutgoingEvent]
    """The last events by id, to be sent again."""
    secrets: dict[str, str]
    """Secrets of webhooks that do not use the API secret."""
    _tasks: set[Task[None]] = field(init=False, factory=set[Task[None]])
    _held_back: dict[str, _HeldBack] = field(init=False, factory=dict[str, _HeldBack])
    """By webhook."""
    _succeeded_at: dict[str, datetime] = field(init=False, factory=dict[str, datetime])
    """When a webhook answered 200 for the last time."""

    def send(self, event: OutgoingEvent, faults: DeliveryFaults) -> None:
        """Begin to deliver an event to every active webhook that lists it."""
        self.sent[event.event_id] = event
        if len(self.sent) > KEPT_ATTEMPTS:
            del self.sent[next(iter(self.sent))]
        for webhook in list(self.world.resources.webhooks.values()):
            if webhook["status"] == "active" and event.event in webhook["enabled_events"]:
                self._submit(webhook["id"], event, faults)

    def reset(self) -> None:
        """Forget what is not delivered yet."""
        for task in self._tasks:
            task.cancel()
        self._held_back.clear()
        self._succeeded_at.clear()

    async def stop(self) -> None:
        """Cancel every attempt that is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _submit(self, webhook_id: str, event: OutgoingEvent, faults: DeliveryFaults) -> None:
        plan = faults.plan()
        deliveries = [PendingDelivery(webhook_id=webhook_id, event=event, copy=copy) for copy in plan.copies]
        overtaken = self._held_back.pop(webhook_id, None)
        if overtaken is not None:
            overtaken.alarm.cancel()
            self._schedule(deliveries)
            self._schedule(overtaken.deliveries, later_s=_OVERTAKEN_BY_S)
        elif plan.is_reordered:
            alarm = self.clock.call_later(_HELD_BACK_FOR_S, partial(self._send_held_back, webhook_id))
            self._held_back[webhook_id] = _HeldBack(deliveries, alarm)
        else:
            self._schedule(deliveries)

    def _send_held_back(self, webhook_id: str) -> None:
        """Send what no other delivery came to overtake."""
        self._schedule(self._held_back.pop(webhook_id).deliveries)

    def _schedule(self, deliveries: list[PendingDelivery], *, later_s: float = 0.0) -> None:
        for delivery in deliveries:
            self.clock.call_later(later_s + delivery.copy.late_s, partial(self._begin, delivery))

    def _begin(self, delivery: PendingDelivery) -> None:
        webhook = self.world.resources.webhooks.get(delivery.webhook_id)
        if webhook is None or webhook["status"] != "active":
            return
        hold = ClockHold(self.clock)
        hold.acquire()  # here and not in the task, which begins a turn of the loop later: time could go on until then
        task = self.loop.create_task(self._attempt(delivery, webhook, hold))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: hold.release())

    async def _attempt(self, delivery: PendingDelivery, webhook: Record, hold: ClockHold) -> None:
        begun = self.clock.now()
        stamp = int(begun.timestamp()) if delivery.stamp is None or self.resign_retries else delivery.stamp
        status = await self._post(webhook, self._signed(delivery, webhook, stamp), hold)
        self.attempts.append(
            Attempt(
                event_id=delivery.event.event_id,
                event=delivery.event.event,
                webhook_id=delivery.webhook_id,
                attempt=delivery.attempt,
                status=status,
                at=begun,
                corrupt=delivery.copy.corrupt,
            )
        )
        if delivery.copy.corrupt:
            return
        self._note_answer(webhook, status)
        if (status is None or status >= 500) and delivery.attempt <= RETRIES:
            retry = attrs.evolve(delivery, attempt=delivery.attempt + 1, stamp=stamp)
            self.clock.call_later(self._backoff_s(delivery), partial(self._begin, retry))

    def _signed(self, delivery: PendingDelivery, webhook: Record, stamp: int) -> SignedDelivery:
        version, webhook_id = webhook["version"], delivery.webhook_id
        secret = self.secrets.get(webhook_id, self.api_secret)
        body = delivery.event.body(version)
        signed = signed_delivery(body, secret=secret, timestamp=stamp, version=version, webhook_id=webhook_id)
        # Another blank makes the signature wrong and leaves the JSON as good as before.
        return with_body(signed, body.replace(b'": "', b'":  "', 1)) if delivery.copy.corrupt else signed

    async def _post(self, webhook: Record, signed: SignedDelivery, hold: ClockHold) -> int | None:
        """Post and wait for the answer, 15 seconds by the fake's clock; by the real one, if the clock goes faster.

        The clock is held for `patience_s` real seconds only: without that limit a receiver that never answers would
        hold it for ever, and the 15 seconds could not pass.
        """
        url = self._target(webhook["url"])
        if url is None:
            return None
        patience = self.loop.call_later(self.patience_s, hold.release)
        try:
            async with time_limit(None) as timeout:

                def expire() -> None:
                    # Held again, so that the retry is scheduled from this moment before time goes on.
                    hold.acquire()
                    timeout.reschedule(self.loop.time())

                alarm = self.clock.call_later(TIMEOUT_S * max(1.0, self.clock.speed), expire)
                try:
                    return await self.post(url, signed)
                finally:
                    alarm.cancel()
        except TimeoutError:
            return None
        finally:
            patience.cancel()

    def _target(self, url: str) -> str | None:
        """Return where to send what is for a URL; None if that is not on this machine."""
        for prefix, to in self.forwards.items():
            if url.startswith(prefix):
                return to + url.removeprefix(prefix)
        return url if re.fullmatch(LOOPBACK_URL, url) else None

    def _backoff_s(self, delivery: PendingDelivery) -> float:
        """Return seconds until the next attempt: twice as many as before, less up to a half of them by chance."""
        rng = self.world.ids.random(f"wait {delivery.event.event_id} {delivery.webhook_id}", delivery.attempt)
        return math.ldexp(_FIRST_BACKOFF_S, delivery.attempt - 1) * rng.uniform(0.5, 1.0)

    def _note_answer(self, webhook: Record, status: int | None) -> None:
        """Pause a webhook that did not answer 200 for 30 days."""
        webhook_id, now = webhook["id"], self.clock.now()
        if status == 200:
            self._succeeded_at[webhook_id] = now
            return
        current = self.world.resources.webhooks.get(webhook_id)
        if current is None:
            return
        changed = datetime.fromisoformat(current["last_updated"])
        if now - max(changed, self._succeeded_at.get(webhook_id, changed)) >= PAUSED_AFTER:
            self.world.resources.update_webhook(webhook_id, {"status": "paused"})
