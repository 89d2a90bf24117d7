"""Inbox protocol: a queue that stores a delivery before it is acknowledged, until its handlers have run."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

from attrs import field, frozen

from pinwheel_async._core.arguments import meant
from pinwheel_async._core.converter import Serializable
from pinwheel_async._core.fields import is_list, is_object
from pinwheel_async._core.model import Model
from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._delivery import Delivery

State = Literal["waiting", "claimed", "done", "dead"]
"""A delivery waits, is claimed by a worker under a lease, and ends as done or dead; dead ones can be revived."""

STATES: tuple[State, ...] = get_args(State)


@frozen(kw_only=True, repr=False)
class Claim(Model):
    """A delivery that one worker holds until its lease ends."""

    delivery: Delivery
    attempt: int
    """Number of this attempt, from 1; those that were interrupted do not count."""
    token: int
    """Fencing token, greater than that of every earlier claim of the same ordering key: marks made with an older one of
    the delivery are refused, so a worker that lost its lease changes nothing."""
    interrupted: int = 0
    """Attempts since the last one that came to an end, or since it was revived, that did not: their leases ended,
    because the process did or was held up."""
    progress: bytes | None = None
    """What was saved with the last failure or release, for the worker to go on from; null if nothing was."""


@frozen(kw_only=True)
class Counts(Serializable):
    """How many deliveries are in which state."""

    waiting: int = 0
    claimed: int = 0
    done: int = 0
    dead: int = 0
    oldest_waiting_s: float | None = None
    """Seconds since the oldest waiting delivery arrived; None when none waits."""
    disk_free_bytes: int | None = None
    """What is left on the disk where they are stored; None where that is unknown, or they are in memory."""


@frozen(kw_only=True)
class Entry(Serializable):
    """Summary of a stored delivery, to be shown: never its body."""

    event_id: str
    event: str
    ordering_key: str
    """What its order belongs to, or its hash; see `Delivery.ordering_key`."""
    state: State
    attempts: int
    received_at: float
    """Unix seconds."""
    reason: str | None
    """Why it failed last: kinds and paths, never values."""
    interrupted: int = 0
    """See `Claim.interrupted`."""
    version: str | None = None
    """See `Delivery.version`."""


ONLY = "only"
"""Key of the names of the only handlers that run, in the progress of a delivery; those of handlers have a dot."""


UNREADABLE = "unreadable"
"""Key of how often a delivery could not be decoded, in its progress."""


def only_handlers(names: Collection[str]) -> bytes:
    """Return the progress of a delivery that only these handlers are to handle.

    Raises:
        ConfigurationError: These are no names.
    """
    if isinstance(names, str) or not all(names):
        raise ConfigurationError("handlers must be a list of names of handlers")
    return json.dumps({ONLY: sorted(names)}).encode()


@frozen(kw_only=True)
class DeliveryProgress(Serializable):
    """How far the handlers of a stored delivery have come."""

    due_in_s: float | None = None
    """Seconds until its next attempt is due, 0 if it is; null if none is to come, or it waits behind another delivery
    of its account."""
    returned: tuple[str, ...] = ()
    """Handlers that have returned, by module and name: they do not run again. Empty once it is done."""
    failed: Mapping[str, int] = field(factory=dict[str, int])
    """How often the others have failed. A dead delivery has forgotten that: its reason names those that did."""
    only: tuple[str, ...] = ()
    """Names of the only handlers that run, where a replay named some."""

    @classmethod
    def of(cls, stored: bytes | None, *, due_in_s: float | None) -> "DeliveryProgress":
        """Read what a worker has saved with a delivery; what is not understood counts as not saved."""
        try:
            read: Any = json.loads(stored or b"{}")
        except ValueError:
            read = {}
        states: dict[str, Any] = read if is_object(read) else {}
        only: Any = states.pop(ONLY, None)
        known = {name: state for name, state in states.items() if is_object(state)}
        return cls(
            due_in_s=None if due_in_s is None else max(due_in_s, 0.0),
            returned=tuple([name for name, state in known.items() if state.get("returned") is True]),
            failed={name: state["attempts"] for name, state in known.items() if isinstance(state.get("attempts"), int)},
            only=tuple([name for name in only if isinstance(name, str)]) if is_list(only) else (),
        )


def _states(values: "State | Iterable[State]") -> tuple[State, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _texts(values: "str | Iterable[str]") -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _optional_texts(values: "str | Iterable[str] | None") -> tuple[str, ...] | None:
    return None if values is None else _texts(values)


@frozen(kw_only=True, repr=False)
class DeliveryFilter(Discreet):
    """Which stored deliveries are meant: those that agree with everything that is said; all, if nothing is.

    Attributes:
        states: States of which one must be theirs.
        events: Names of events, such as `paystubs.added`, or families of them, such as `paystubs.*`.
        ordering_key: What their order belongs to: mostly the account.
        reason: Text that is part of the reason for which they failed last.
        received_after: They arrived then or later.
        received_before: They arrived earlier.
        event_ids: Their ids; an empty list means none.
        with_body: Only those whose body is stored. What is done loses it at once, or after `keep_bodies_s`.
    """

    states: tuple[State, ...] = field(default=(), converter=_states)
    events: tuple[str, ...] = field(default=(), converter=_texts)
    ordering_key: str | None = None
    reason: str | None = None
    received_after: datetime | None = None
    received_before: datetime | None = None
    event_ids: tuple[str, ...] | None = field(default=None, converter=_optional_texts)
    with_body: bool = False

    @without_locals
    def __attrs_post_init__(self) -> None:
        """Check what was said.

        Raises:
            ConfigurationError: There is no such state, a name has a star elsewhere than in `family.*`, or a moment has
                no offset from UTC.
        """
        for state in self.states:
            if state not in STATES:
                raise ConfigurationError(f"the states of deliveries are {', '.join(STATES)}{meant(state, STATES)}")
        for event in self.events:
            if "*" in event.removesuffix(".*"):
                raise ConfigurationError("events are named whole, or as a family: paystubs.added, paystubs.*")
        for name in ("received_after", "received_before"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"{name} must have an offset from UTC, as datetime.now(UTC) has")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, so that every delivery is meant."""
        return self == DeliveryFilter()

    @property
    def names(self) -> tuple[str, ...]:
        """The events that are named whole."""
        return tuple([event for event in self.events if not event.endswith(".*")])

    @property
    def families(self) -> tuple[str, ...]:
        """How the names of events begin that are given as a family, with the dot."""
        return tuple([event.removesuffix("*") for event in self.events if event.endswith(".*")])

    def matches(self, entry: Entry) -> bool:
        """Whether this delivery of an inbox is meant that keeps no bodies of what is done."""
        after, before = self.received_after, self.received_before
        return (
            (not self.states or entry.state in self.states)
            and (not self.events or entry.event in self.names or entry.event.startswith(self.families))
            and (self.ordering_key is None or entry.ordering_key == self.ordering_key)
            and (self.reason is None or (entry.reason is not None and self.reason in entry.reason))
            and (after is None or entry.received_at >= after.timestamp())
            and (before is None or entry.received_at < before.timestamp())
            and (self.event_ids is None or entry.event_id in self.event_ids)
            and (not self.with_body or entry.state != "done")
        )


@frozen(kw_only=True)
class Preview(Serializable):
    """What a filter selects at the moment, in numbers."""

    deliveries: int = 0
    states: Mapping[State, int]
    """Deliveries by state."""
    events: Mapping[str, int]
    """Deliveries by event."""
    ordering_keys: int = 0
    """Different accounts, or other owners, that they belong to."""
    bodies: int = 0
    """Deliveries whose body is stored."""


@frozen(kw_only=True)
class BodyReading(Serializable):
    """Record of one reading of a stored body."""

    at: float
    """Unix seconds."""
    user: str
    """Who read it, by the name that the operating system gave the process."""
    event_id: str


class Inbox(Protocol):
    """Stores deliveries. Every method may raise `InboxError`; after an error nothing has changed.

    Only `revive` and `purge`, which may go in portions, may then have done a part of it.

    Order: deliveries of one ordering key are claimed one at a time, in order of arrival; while the first of a key waits
    for its next attempt, the others wait behind it; a dead one makes way for the next.
    """

    def attach(self, router: object) -> None:
        """Let the deliveries go to the handlers of this router, until `detach`.

        Raises:
            ConfigurationError: They go to another one.
        """
        ...

    def detach(self, router: object) -> None:
        """Let the deliveries go to another router, if they went to this one."""
        ...

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
        """Claim up to *limit* due deliveries of different ordering keys, oldest first.

        Those whose lease has ended are due again; that attempt counts as interrupted.
        """
        ...

    async def extend(self, claim: Claim, *, lease_s: float) -> bool:
        """Let the lease begin again now; return False if it was lost."""
        ...

    async def done(self, claim: Claim) -> bool:
        """Mark as handled, drop the body, remember the id; return False if it was claimed again since."""
        ...

    async def fail(self, claim: Claim, *, reason: str, retry_in_s: float | None, progress: bytes | None = None) -> bool:
        """Mark as failed: due again in *retry_in_s* seconds, dead if None. Return False if the lease was lost.

        Later claims of the delivery find *progress*, also after it was revived; with None, what was saved before.
        """
        ...

    async def release(self, claim: Claim, *, progress: bytes | None = None) -> bool:
        """Give back unhandled, as if it had not been claimed: the attempt does not count. For *progress* see `fail`."""
        ...

    async def preview(self, filter: DeliveryFilter) -> Preview:
        """Say what a filter selects, in numbers."""
        ...

    async def revive(self, filter: DeliveryFilter | None = None) -> int:
        """Let those that are meant and dead (all, if None) wait again, attempts counted from 0; return how many.

        They take their old place in the order of their key.
        """
        ...

    async def purge(self, filter: DeliveryFilter) -> int:
        """Forget what a filter selects, in whatever state, with bodies and ids; return how many."""
        ...

    async def counts(self) -> Counts:
        """Count by state."""
        ...

    async def entries(self, filter: DeliveryFilter | None = None, *, limit: int = 100) -> Sequence[Entry]:
        """List what a filter selects (all, if None), newest first."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when a delivery may be due: something was put, marked or revived here, or the time is over."""
        ...

    async def load(self, key: str) -> bytes | None:
        """Return a small value that was saved beside the deliveries."""
        ...

    async def load_or_save(self, key: str, value: bytes) -> bytes:
        """Return a small value that was saved before; if there is none, save this one, in one step, and return it."""
        ...

    async def save(self, key: str, value: bytes | None) -> None:
        """Save a small value beside the deliveries; None removes it."""
        ...


def check_inbox_argument(inbox: object, methods: Collection[str] = ("open", "put", "claim", "load", "save")) -> None:
    """Refuse what is no inbox where one belongs, such as the path of one.

    Args:
        inbox: What was given.
        methods: Those that tell an inbox: whoever uses only some of them takes what has these.

    Raises:
        ConfigurationError: It is something else.
    """
    if inbox is None or (
        not isinstance(inbox, type) and all(callable(getattr(inbox, method, None)) for method in methods)
    ):
        return
    kind = f"the class {inbox.__name__}" if isinstance(inbox, type) else type(inbox).__name__
    raise ConfigurationError(f'inbox must be an inbox, such as SqliteInbox("inbox.db"), or None, not {kind}')
