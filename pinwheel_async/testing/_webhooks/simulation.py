"""Simulation: what happens in a world, and the events that announce it. Single events, Link sessions, refreshes."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from typing import Any, cast, get_args

from pinwheel_async._core.arguments import meant
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing._clock import Alarm, FakeClock
from pinwheel_async.testing._webhooks.body import OutgoingEvent, outgoing_event
from pinwheel_async.testing._webhooks.link_session import (
    USUAL_PACE,
    Ending,
    LinkSession,
    Pace,
    ScheduledEvent,
    plan_session,
)
from pinwheel_async.testing._webhooks.payloads import JobResult, Subject, payload_of
from pinwheel_async.testing._world import directory as _directory
from pinwheel_async.testing._world.records import Record
from pinwheel_async.testing._world.world import World

_AS_RECORDED: Mapping[str, int] = {"paystubs": 31, "shifts": 90, "tax_forms": 2}


class Simulation:
    """Changes a world by a clock and announces it; ids follow from the world's seed and from the numbers."""

    def __init__(
        self, world: World, clock: FakeClock, send: Callable[[OutgoingEvent], None], numbers: Iterator[int]
    ) -> None:
        self.world: World = world
        self._clock = clock
        self._send = send
        self._numbers = numbers
        self._sessions: dict[str, list[Alarm]] = {}
        """Alarms of the Link session of an account."""

    def deliver(
        self, event: str | Event, account_id: str | None, event_id: str | None, changes: Mapping[str, Any]
    ) -> str:
        """Send one event and return its id.

        Raises:
            ValueError: There is no such account, or no such event: neither does the API know it, nor a webhook list it.
        """
        if isinstance(event, Event):
            given = outgoing_event(event)
            about = {} if account_id is None else {"account_id": account_id}
            name, payload, event_id = given.event, given.payload | about, event_id or given.event_id
        else:
            outcome = changes.get("outcome")
            self._check_event(event)
            ended = cast("JobResult", outcome if outcome in get_args(JobResult) else "success")
            name, payload = event, payload_of(event, self._subject(account_id, outcome=ended))
        return self._announce(name, payload | dict(changes), event_id)

    def connect(
        self,
        account_id: str | None,
        end_user_id: str | None,
        link_token_id: str | None,
        endings: Mapping[Product, Ending],
        pace: Pace = USUAL_PACE,
    ) -> LinkSession:
        """Begin a Link session; the rest of it is scheduled on the clock."""
        _check(endings)
        account_id = self.new_account() if account_id is None else self._subject(account_id).account_id
        link_token_id = link_token_id or self.new_id("link_token of a session")
        token = self.world.resources.link_tokens.get(link_token_id, {})
        end_user_id = end_user_id or token.get("end_user_id")
        for alarm in self._sessions.pop(account_id, ()):
            alarm.cancel()
        self.world.connect(account_id, link_token_id=link_token_id, end_user_id=end_user_id)
        rng = self.world.ids.random("session", next(self._numbers))
        events = plan_session(self.world, account_id, endings, partial(self.new_id, "job of an event"), rng, pace)
        self._sessions[account_id] = [alarm for event in events for alarm in self._schedule(account_id, event)]
        return LinkSession(
            account_id=account_id,
            end_user_id=events[0].payload["end_user_id"],
            link_token_id=link_token_id,
            duration_s=events[-1].announced_s,
        )

    def refresh(self, account_id: str, product: Product) -> str:
        """Change the data of a product, announce it without a Link token, and return the event's id."""
        _check({product: "success"})
        index = self._subject(account_id).index
        self.world.touch(account_id, product)
        newest = tuple([entry.facts for entry in self.world.entries(index, product)[:1]])
        return self._announce_background_job(product, self._subject(account_id, items=newest))

    def delete(self, account_id: str, product: Product, item_id: str) -> str:
        """Delete an item of a list, announce it, and return the event's id."""
        _check({product: "success"})
        subject = self._subject(account_id, items=(), gone=(item_id,))
        try:
            self.world.delete(account_id, product, item_id)
        except KeyError:
            raise ValueError(f"the account has no such item among its {product}") from None
        return self._announce_background_job(product, subject)

    def later(self, key: str, seconds: float, action: Callable[[], object]) -> None:
        """Do something after a while, unless the account that is the key is connected again before."""

        def act() -> None:
            action()

        self._sessions.setdefault(key, []).append(self._clock.call_later(seconds, act))

    def announce_job(self, event: str, account_id: str, **changes: Any) -> None:
        """Announce a job of the Link session of an account that ends now, and list it."""
        payload = payload_of(event, self._subject(account_id)) | changes
        self.world.add_job(account_id, payload)
        self._announce(event, payload)

    def _announce_background_job(self, product: Product, subject: Subject) -> str:
        """Announce a change that no Link session made."""
        name = f"{product}.added"
        return self._announce(name, payload_of(name, subject) | {"link_token_id": None})

    def _announce(self, name: str, payload: Record, event_id: str | None = None) -> str:
        event = OutgoingEvent(event_id or self.new_id("event"), name, payload)
        self._send(event)
        return event.event_id

    def _schedule(self, account_id: str, event: ScheduledEvent) -> list[Alarm]:
        """Put an event on the clock: its job and its data when the job ends, and the announcement."""
        outgoing = OutgoingEvent(self.new_id("event"), event.event, event.payload)
        actions: list[tuple[float, Callable[[], None]]] = [(event.announced_s, partial(self._send, outgoing))]
        if event.product is not None:
            reveal = partial(self.world.reveal, account_id, event.product, event.unseen)
            actions.append((event.ends_s, reveal))
        if event.event.endswith(".added") and "outcome" in event.payload:
            actions.append((event.ends_s, partial(self.world.add_job, account_id, event.payload)))
        now = self._clock.now()
        return [self._clock.call_at(now + timedelta(seconds=at_s), action) for at_s, action in actions]

    def _check_event(self, name: str) -> None:
        listed = {event for webhook in self.world.resources.webhooks.values() for event in webhook["enabled_events"]}
        if name not in EVENTS and name not in listed:
            raise ValueError(f"there is no event {name}{meant(name, [*EVENTS, *listed])}")

    def _subject(self, account_id: str | None, **said: Any) -> Subject:
        if account_id is None and not self.world.account_count:
            raise ValueError("the world has no account that the event could be about")
        account_id = self.world.account_id(0) if account_id is None else account_id
        if account_id not in self.world:
            raise ValueError(
                f"the world has no account {account_id}{self.world.meant_account(account_id)};"
                " an event of `make_event` may be about another one"
            )
        job_id = self.new_id("job of an event")
        return Subject(world=self.world, account_id=account_id, at=self._clock.now(), job_id=job_id, **said)

    def new_account(self, number: int = 0, **profile: Any) -> str:
        """Add an account like the recorded ones, on a platform that supports every product.

        Args:
            number: Which of these platforms; the first ones run a payroll.
            profile: Facts of the profile to set.
        """
        account_id = self.world.add_account()
        platforms = [_directory.platform(self.world.ids, number) for number in range(_directory.PLATFORM_COUNT)]
        able = [number for number, platform in enumerate(platforms) if {*PRODUCTS} <= {*platform["supported_jobs"]}]
        able.sort(key=lambda number: platforms[number]["type"] != "payroll")
        platform = {"platform": able[number % len(able)]} if able else {}
        self.world.recast(account_id, **{**_AS_RECORDED, **platform, **profile})
        return account_id

    def new_id(self, kind: str) -> str:
        """Make an id that was not used before."""
        return self.world.ids.make(kind, next(self._numbers))


_MISSPELT = 0.9
"""How much alike the name of an event and a documented one are to be taken for misspelt: names that the API does not
have may be sent, too, as `paystubs.vanished`."""


def check_event_name(name: str) -> None:
    """Refuse the name of an event that is nearly one of the API's.

    Raises:
        ValueError: It is.
    """
    near = [] if name in EVENTS else get_close_matches(name, EVENTS, 1, _MISSPELT)
    if near:
        raise ValueError(f"there is no event {name}; did you mean {near[0]}?")


def _check(endings: Mapping[Product, Ending]) -> None:
    for product, ending in endings.items():
        if product not in PRODUCTS or ending not in get_args(Ending):
            known = f"products are {', '.join(PRODUCTS)}; outcomes are {', '.join(get_args(Ending))}"
            hint = meant(product, PRODUCTS) if product not in PRODUCTS else meant(ending, get_args(Ending))
            raise ValueError(f"unknown product or outcome: {product}: {ending}{hint}; {known}")
