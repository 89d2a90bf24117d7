"""Memory queue: deliveries that the inbox has handed over, by account, and their marks, which are made in groups."""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from attrs import define, field

from pinwheel_async._privacy import Discreet
from pinwheel_async.webhooks._inbox.base import Claim
from pinwheel_async.webhooks._inbox.hand_over import ChainLink, Handed, Taker

MAX_DELIVERIES = 1_024
"""Most deliveries that are in memory from when they are stored until they are marked; more stay in the file only. Two
groups of them: if the process stands still for longer than a lease, others have all of them again."""

MAX_BYTES = 16 * 1024 * 1024
"""Most bytes of their bodies."""


class HandsOver(Protocol):
    """Inbox that can hand over; see `SqliteInbox`."""

    def hand_over_to(self, taker: Taker) -> None:
        """Hand over what is put from now on."""
        ...

    def end_hand_over(self, taker: Taker) -> None:
        """Hand nothing more over."""
        ...

    async def finish(self, finished: Sequence[tuple[str, Sequence[int]]], *, lease_s: float) -> Sequence[bool]:
        """Mark what was handed over as done."""
        ...


class ClaimsChains(Protocol):
    """Inbox that claims with a delivery those that follow it; see `PostgresInbox`."""

    async def claim_chains(
        self, limit: int, *, lease_s: float, length: int, room: int, room_bytes: int
    ) -> Sequence[Sequence[ChainLink]]:
        """Claim deliveries, and read those of their ordering keys that follow."""
        ...

    async def finish_chains(
        self, finished: Sequence[tuple[Sequence[Handed], Handed | None]], *, lease_s: float
    ) -> Sequence[bool]:
        """Mark the first deliveries of chains as done, and claim what follows."""
        ...


@define(eq=False, repr=False)
class AccountQueue(Discreet):
    """What was handed over of one account, or other ordering key, oldest first."""

    key: str
    waiting: deque[Handed] = field(factory=deque[Handed])
    """Those whose handlers have not begun."""
    current: Handed | None = None
    """The one whose handlers run, or whose failure is being marked."""
    handled: list[Handed] = field(factory=list[Handed])
    """Those that are done and not marked yet."""
    marking: int = 0
    """How many of these are being marked."""
    ends_at: float = 0.0
    """When the lease ends, which is that of the oldest that is not marked."""
    marked: "asyncio.Future[None] | None" = None
    """What waits until none is left to be marked."""

    @property
    def oldest(self) -> Handed | None:
        """The oldest that is not marked, which is claimed in the inbox."""
        if self.handled:
            return self.handled[0]
        return self.following

    @property
    def following(self) -> Handed | None:
        """What comes behind those that are done."""
        return self.current or (self.waiting[0] if self.waiting else None)


class MemoryQueue:
    """Queues of the accounts of which something was handed over; whatever it holds is in the inbox, too."""

    def __init__(self, *, lease_s: float, monotonic: Callable[[], float], wake: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            lease_s: Seconds of a lease.
            monotonic: The clock of leases.
            wake: Called when deliveries may be ready, or are to be marked.
        """
        self.lease_s = lease_s
        self.to_mark: dict[str, AccountQueue] = {}
        """Queues of which something is to be marked."""
        self.late: list[Claim] = []
        """What is claimed and may not begin any more, to be given back."""
        self._monotonic = monotonic
        self._wake = wake
        self._queues: dict[str, AccountQueue] = {}
        self._ready: OrderedDict[str, AccountQueue] = OrderedDict()
        """Those of which the next can begin."""
        self._count = 0
        self._bytes = 0
        self._is_closed = False

    def __iter__(self) -> Iterator[AccountQueue]:
        """Iterate over the queues that there are now."""
        return iter(list(self._queues.values()))

    def __len__(self) -> int:
        """Return how many queues there are."""
        return len(self._queues)

    @property
    def is_ready(self) -> bool:
        """Whether a delivery can begin."""
        return bool(self._ready)

    def lease_end(self) -> float:
        """Return when a lease ends that begins now."""
        return self._monotonic() + self.lease_s

    def room(self) -> tuple[int, int]:
        """Return how many deliveries, with how many bytes, may be handed over."""
        if self._is_closed:
            return 0, 0
        return MAX_DELIVERIES - self._count, MAX_BYTES - self._bytes

    def queued(self) -> int:
        """Return how many wait for their handlers although they are claimed."""
        return len(self._ready)

    def close(self) -> None:
        """Take nothing more than what has been stored by now."""
        self._is_closed = True

    def take(self, handed: Sequence[Handed]) -> None:
        """Take what was stored."""
        for item in handed:
            key = item.claim.delivery.ordering_key
            queue = self._queues.get(key)
            if queue is None:
                if not item.is_first:
                    continue  # what it was to follow has failed or was lost
                queue = self._queues[key] = AccountQueue(key)
            if item.is_first and queue.oldest is None:
                queue.ends_at = item.ends_at
            queue.waiting.append(item)
            self._count += 1
            self._bytes += len(item.claim.delivery.body)
            if queue.current is None:
                self._ready[key] = queue
        self._wake()

    def drop(self, seqs: Sequence[int]) -> None:
        """Forget rows, as far as their handlers have not begun."""
        gone = set(seqs)
        for queue in self:
            for item in [item for item in queue.waiting if item.seq in gone]:
                queue.waiting.remove(item)
                self._left(item)
            self._settle(queue)

    def next(self) -> tuple[AccountQueue, Handed] | None:
        """Return the next delivery that can begin; None if it is too late for it."""
        _, queue = self._ready.popitem(last=False)
        if self._drop_late(queue):
            return None
        queue.current = item = queue.waiting.popleft()
        return queue, item

    def drop_late(self) -> None:
        """Drop what may not begin any more."""
        for queue in list(self._ready.values()):
            self._drop_late(queue)

    def _drop_late(self, queue: AccountQueue) -> bool:
        """Drop the next of a queue if it is too late for it; return whether it was."""
        first = queue.waiting[0]
        if first.begin_by >= self._monotonic():
            return False
        if queue.marking:  # which claims it
            self._ready.pop(queue.key, None)
            return True
        if first.is_first or not queue.handled:  # it is claimed; what follows others is when they are marked
            self.late.append(first.claim)
        self._left(queue.waiting.popleft())
        self.cut(queue)
        self._settle(queue)
        return True

    def end(self, queue: AccountQueue, *, ok: bool) -> None:
        """Note that the current delivery of a queue is over: it is to be marked as done, or it was marked otherwise."""
        current, queue.current = queue.current, None
        if current is None:
            return
        if ok:
            queue.handled.append(current)
            self.to_mark[queue.key] = queue
            if not queue.waiting:
                return
        else:
            self._left(current)
            self.cut(queue)
        self._settle(queue)

    def cut(self, queue: AccountQueue) -> None:
        """Drop what follows: the inbox gives it to whoever claims it."""
        while queue.waiting and not queue.waiting[0].is_first:
            self._left(queue.waiting.popleft())

    def kept(self) -> list[tuple[AccountQueue, Handed]]:
        """Return queues whose lease has to be extended, and the delivery that has it."""
        return [
            (queue, oldest)
            for queue in self
            if (queue.current or queue.handled) and not queue.marking  # which extends it
            if (oldest := queue.oldest) is not None
        ]

    def release(self, *, older_than_s: float = -math.inf) -> list[Claim]:
        """Drop what has waited for so long; return the claims to be given back."""
        until = self.lease_end() - older_than_s
        claims: list[Claim] = []
        for queue in self:
            if queue.waiting and queue.oldest is queue.waiting[0] and queue.ends_at <= until:
                first = queue.waiting.popleft()
                self._left(first)
                claims.append(first.claim)
                self.cut(queue)
                self._settle(queue)
        return claims

    def start_marking(self) -> list[AccountQueue]:
        """Return the queues of which something is to be marked."""
        queues = list(self.to_mark.values())
        self.to_mark.clear()
        for queue in queues:
            if queue.waiting and queue.current is None:
                self._drop_late(queue)
            queue.marking = len(queue.handled)
        return queues

    def end_marking(self, queue: AccountQueue, ends_at: float, *, ok: bool) -> list[Handed]:
        """Note what came of marks; return those that are marked, or were not, if it went wrong."""
        marked, queue.handled = queue.handled[: queue.marking], queue.handled[queue.marking :]
        queue.marking = 0
        if ok:
            queue.ends_at = ends_at
        else:
            marked += queue.handled
            queue.handled = []
            self.to_mark.pop(queue.key, None)
            self.cut(queue)
        for item in marked:
            self._left(item)
        if not queue.handled and queue.marked is not None:
            if not queue.marked.done():
                queue.marked.set_result(None)
            queue.marked = None
        self._settle(queue)
        return marked

    async def marked_before(self, queue: AccountQueue) -> None:
        """Wait until all that came before the current delivery is marked, so that this is the one that is claimed."""
        while queue.handled:
            if queue.marked is None:
                queue.marked = asyncio.get_running_loop().create_future()
            await asyncio.shield(queue.marked)

    def _left(self, item: Handed) -> None:
        self._count -= 1
        self._bytes -= len(item.claim.delivery.body)

    def _settle(self, queue: AccountQueue) -> None:
        """Let the next of a queue begin, if it can; forget a queue of which nothing is left."""
        if self._queues.get(queue.key) is not queue:
            return
        if not queue.waiting or queue.current is not None:
            self._ready.pop(queue.key, None)
        elif queue.key not in self._ready:
            self._ready[queue.key] = queue
            self._wake()
        if queue.oldest is None:
            del self._queues[queue.key]
