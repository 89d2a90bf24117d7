"""Deliveries: each event to every webhook that wants it, repeated as documented, and a record of every try."""

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

from pinwheel_async.testing._bodies import Letter
from pinwheel_async.testing._checks import LOOPBACK_URL
from pinwheel_async.testing._clock import Alarm, FakeClock, Grip
from pinwheel_async.testing._mischief import Copy, Mischief
from pinwheel_async.testing._people import Record
from pinwheel_async.testing._signed import SignedDelivery, signed_delivery, with_body
from pinwheel_async.testing._world import World

ANSWER_WITHIN_S = 15.0
MORE_TRIES = 5
PAUSED_AFTER = timedelta(days=30)

_KEPT_ATTEMPTS = 10_000
_FIRST_WAIT_S = 25.0  # doubled each time: with 15 seconds for each try the last one begins within 15 minutes
_OVERTAKEN_FOR_S = 10.0


@frozen(kw_only=True)
class Attempt:
    """One try to deliver an event to a webhook."""

    event_id: str
    """The same in every repetition."""
    event: str
    webhook_id: str
    attempt: int
    """Number of the try, from 1."""
    status: int | None
    """Status of the answer; null for a network error, or no answer in 15 seconds."""
    at: datetime
    """When it was sent."""
    corrupt: bool = False
    """Whether it was sent with a wrong signature, on order."""


class Post(Protocol):
    """What sends a delivery and returns the status of the answer, None if there was none."""

    async def __call__(self, url: str, delivery: SignedDelivery, /) -> int | None:
        """Send it."""
        ...


@frozen(kw_only=True)
class _Parcel:
    webhook_id: str
    letter: Letter
    copy: Copy
    attempt: int = 1
    stamp: int | None = None
    """Unix seconds that the first try was signed with."""


@frozen
class _Overtaken:
    parcels: list[_Parcel]
    alarm: Alarm


@frozen(kw_only=True, repr=False, eq=False)
class Outbox:
    """Sends letters by a clock, several at the same time."""

    world: World
    clock: FakeClock
    post: Post
    loop: AbstractEventLoop
    api_secret: str
    resign_retries: bool
    patience_s: float
    attempts: deque[Attempt]
    forwards: dict[str, str]
    secrets: dict[str, str]
    """Secrets of webhooks that do not use the API secret."""
    _tasks: set[Task[None]] = field(init=False, factory=set[Task[None]])
    _overtaken: dict[str, _Overtaken] = field(init=False, factory=dict[str, _Overtaken])
    _good_since: dict[str, datetime] = field(init=False, factory=dict[str, datetime])

    def send(self, letter: Letter, mischief: Mischief) -> None:
        """Begin to deliver a letter to every active webhook that lists its event."""
        for webhook in list(self.world.desk.webhooks.values()):
            if webhook["status"] == "active" and letter.event in webhook["enabled_events"]:
                self._submit(webhook["id"], letter, mischief)

    async def stop(self) -> None:
        """Give up whatever is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _submit(self, webhook_id: str, letter: Letter, mischief: Mischief) -> None:
        fate = mischief.fate()
        parcels = [_Parcel(webhook_id=webhook_id, letter=letter, copy=copy) for copy in fate.copies]
        before = self._overtaken.pop(webhook_id, None)
        if before is not None:
            before.alarm.cancel()
            self._schedule(parcels)
            self._schedule(before.parcels, later_s=0.5)
        elif fate.swapped:
            alarm = self.clock.call_later(_OVERTAKEN_FOR_S, partial(self._give_up_waiting, webhook_id))
            self._overtaken[webhook_id] = _Overtaken(parcels, alarm)
        else:
            self._schedule(parcels)

    def _give_up_waiting(self, webhook_id: str) -> None:
        """Send what no other delivery came to overtake."""
        self._schedule(self._overtaken.pop(webhook_id).parcels)

    def _schedule(self, parcels: list[_Parcel], *, later_s: float = 0.0) -> None:
        for parcel in parcels:
            self.clock.call_later(later_s + parcel.copy.late_s, partial(self._begin, parcel))

    def _begin(self, parcel: _Parcel) -> None:
        webhook = self.world.desk.webhooks.get(parcel.webhook_id)
        if webhook is None or webhook["status"] != "active":
            return
        grip = Grip(self.clock)
        grip.tighten()  # at once, because the task begins a little later
        task = self.loop.create_task(self._try(parcel, webhook, grip))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: grip.loosen())

    async def _try(self, parcel: _Parcel, webhook: Record, grip: Grip) -> None:
        begun = self.clock.now()
        stamp = int(begun.timestamp()) if parcel.stamp is None or self.resign_retries else parcel.stamp
        status = await self._answer(webhook, self._signed(parcel, webhook, stamp), grip)
        self.attempts.append(
            Attempt(
                event_id=parcel.letter.event_id,
                event=parcel.letter.event,
                webhook_id=parcel.webhook_id,
                attempt=parcel.attempt,
                status=status,
                at=begun,
                corrupt=parcel.copy.corrupt,
            )
        )
        if parcel.copy.corrupt:
            return
        self._judge(webhook, status)
        if (status is None or status >= 500) and parcel.attempt <= MORE_TRIES:
            again = attrs.evolve(parcel, attempt=parcel.attempt + 1, stamp=stamp)
            self.clock.call_later(self._wait_s(parcel), partial(self._begin, again))

    def _signed(self, parcel: _Parcel, webhook: Record, stamp: int) -> SignedDelivery:
        version, webhook_id = webhook["version"], parcel.webhook_id
        secret = self.secrets.get(webhook_id, self.api_secret)
        body = parcel.letter.body(version)
        signed = signed_delivery(body, secret=secret, timestamp=stamp, version=version, webhook_id=webhook_id)
        return with_body(signed, body.replace(b'": "', b'":  "', 1)) if parcel.copy.corrupt else signed

    async def _answer(self, webhook: Record, signed: SignedDelivery, grip: Grip) -> int | None:
        """Post and wait for the answer: 15 seconds by the clock, which is held for a moment only."""
        url = self._target(webhook["url"])
        if url is None:
            return None
        patience = self.loop.call_later(self.patience_s, grip.loosen)
        try:
            async with asyncio.timeout(None) as limit:

                def cut() -> None:
                    grip.tighten()
                    limit.reschedule(self.loop.time())

                alarm = self.clock.call_later(ANSWER_WITHIN_S, cut)
                try:
                    return await self.post(url, signed)
                finally:
                    alarm.cancel()
        except TimeoutError:
            return None
        finally:
            patience.cancel()

    def _target(self, url: str) -> str | None:
        """Return where a URL leads to; nothing leaves this machine."""
        for prefix, to in self.forwards.items():
            if url.startswith(prefix):
                return to + url.removeprefix(prefix)
        return url if re.fullmatch(LOOPBACK_URL, url) else None

    def _wait_s(self, parcel: _Parcel) -> float:
        """Return seconds until the next try: twice as many as before, less up to a half of them by chance."""
        rng = self.world.ids.random(f"wait {parcel.letter.event_id} {parcel.webhook_id}", parcel.attempt)
        return math.ldexp(_FIRST_WAIT_S, parcel.attempt - 1) * rng.uniform(0.5, 1.0)

    def _judge(self, webhook: Record, status: int | None) -> None:
        """Pause a webhook that did not answer 200 for 30 days."""
        webhook_id, now = webhook["id"], self.clock.now()
        if status == 200:
            self._good_since[webhook_id] = now
            return
        current = self.world.desk.webhooks.get(webhook_id)
        if current is None:
            return
        changed = datetime.fromisoformat(current["last_updated"])
        if now - max(changed, self._good_since.get(webhook_id, changed)) >= PAUSED_AFTER:
            self.world.desk.update_webhook(webhook_id, {"status": "paused"})


def new_record() -> deque[Attempt]:
    """Return a record that keeps the last 10,000 tries."""
    return deque(maxlen=_KEPT_ATTEMPTS)
