"""The inbox: where a delivery is safe before it is acknowledged, and waits until its handlers have run."""

from collections.abc import Sequence
from typing import Literal, Protocol

from attrs import frozen

from pinwheel_async._core.fields import Model
from pinwheel_async.webhooks._delivery import Delivery

State = Literal["waiting", "claimed", "done", "dead"]
"""A delivery waits, is claimed by a worker under a lease, and ends as done or dead; dead ones can be revived."""


@frozen(kw_only=True, repr=False)
class Claim(Model):
    """A delivery that one worker holds until its lease ends."""

    delivery: Delivery
    attempt: int
    """Number of this attempt, from 1; attempts cut off by a crash count."""
    token: int
    """Fencing token: marks made with an older one are refused, so a worker that lost its lease changes nothing."""


@frozen(kw_only=True)
class Counts:
    """How many deliveries are in which state."""

    waiting: int = 0
    claimed: int = 0
    done: int = 0
    dead: int = 0
    oldest_waiting_s: float | None = None
    """Seconds since the oldest waiting delivery arrived; None when none waits."""


@frozen(kw_only=True)
class Entry:
    """What may be shown of a stored delivery: never its body."""

    event_id: str
    event: str
    lane: str
    state: State
    attempts: int
    received_at: float
    """Unix seconds."""
    reason: str | None
    """Why it failed last: kinds and paths, never values."""


class Inbox(Protocol):
    """What stores deliveries. Every method may raise `InboxError`; after an error nothing has changed.

    Order: deliveries of one lane are claimed one at a time, in order of arrival; a lane whose first delivery waits for
    its next attempt waits with it; a dead delivery makes way for the next.
    """

    async def open(self) -> None:
        """Make ready to store; called once before everything else."""
        ...

    async def close(self) -> None:
        """Finish what is under way and free everything."""
        ...

    async def put(self, delivery: Delivery) -> bool:
        """Store a delivery durably; return False if its event id is known already, in whatever state."""
        ...

    async def claim(self, limit: int, *, lease_s: float) -> Sequence[Claim]:
        """Claim up to *limit* due deliveries of different lanes, oldest first; those of lapsed leases are due again."""
        ...

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Begin the lease anew; return False if it was lost."""
        ...

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if somebody else has claimed it since."""
        ...

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost."""
        ...

    async def release(self, claim: Claim) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count."""
        ...

    async def revive(self, event_ids: Sequence[str] | None = None) -> int:
        """Let dead deliveries (all, if None) wait again in their old place, attempts counted anew; return how many."""
        ...

    async def purge(self, *, done_before_s: float | None = None, lane: str | None = None) -> int:
        """Forget what was done before so many seconds, or everything of a lane, or what is both; return how many."""
        ...

    async def counts(self) -> Counts:
        """Count by state."""
        ...

    async def entries(self, *, state: State | None = None, limit: int = 100) -> Sequence[Entry]:
        """List stored deliveries, newest first."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due: something was put, marked or revived here, or the time is over."""
        ...

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries; None removes it."""
        ...
