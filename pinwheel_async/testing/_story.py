"""What happens in a world, and the letters that tell of it: single events, Link sessions, refreshes."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, cast, get_args

from pinwheel_async.events import Event
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing import _directory
from pinwheel_async.testing._bodies import Letter, letter_of
from pinwheel_async.testing._call import RefusedError
from pinwheel_async.testing._clock import Alarm, FakeClock
from pinwheel_async.testing._payloads import JobResult, Subject, payload_of
from pinwheel_async.testing._session import Ending, LinkSession, Scene, play
from pinwheel_async.testing._world import World

_AS_RECORDED: Mapping[str, int] = {"paystubs": 31, "shifts": 90, "tax_forms": 2}


class Story:
    """Lets things happen by a clock; ids follow from the world's seed and from the numbers."""

    def __init__(self, world: World, clock: FakeClock, send: Callable[[Letter], None], numbers: Iterator[int]) -> None:
        self._world = world
        self._clock = clock
        self._send = send
        self._numbers = numbers
        self._playing: dict[str, list[Alarm]] = {}

    def deliver(self, event: str | Event, account_id: str | None, event_id: str | None, said: Mapping[str, Any]) -> str:
        """Send one event and return its id."""
        if isinstance(event, Event):
            letter = letter_of(event)
            about = {} if account_id is None else {"account_id": account_id}
            name, payload, event_id = letter.event, letter.payload | about, event_id or letter.event_id
        else:
            outcome = said.get("outcome")
            ended = cast("JobResult", outcome if outcome in get_args(JobResult) else "success")
            name, payload = event, payload_of(event, self._subject(account_id, outcome=ended))
        sent = Letter(event_id or self._new_id("event"), name, payload | dict(said))
        self._send(sent)
        return sent.event_id

    def connect(
        self,
        account_id: str | None,
        end_user_id: str | None,
        link_token_id: str | None,
        endings: Mapping[Product, Ending],
    ) -> LinkSession:
        """Begin a Link session; what is to come is on the clock."""
        _check(endings)
        account_id = self._new_account() if account_id is None else self._subject(account_id).account_id
        link_token_id = link_token_id or self._new_id("link_token of a session")
        end_user_id = end_user_id or self._world.desk.link_tokens.get(link_token_id)
        for alarm in self._playing.pop(account_id, ()):
            alarm.cancel()
        self._world.connect(account_id, link_token_id=link_token_id, end_user_id=end_user_id)
        rng = self._world.ids.random("session", next(self._numbers))
        scenes = play(self._world, account_id, endings, partial(self._new_id, "job of an event"), rng)
        self._playing[account_id] = [alarm for scene in scenes for alarm in self._stage(account_id, scene)]
        return LinkSession(
            account_id=account_id,
            end_user_id=scenes[0].payload["end_user_id"],
            link_token_id=link_token_id,
            duration_s=scenes[-1].announced_s,
        )

    def refresh(self, account_id: str, product: Product) -> str:
        """Change the data of a product, announce it without a Link token, and return the event's id."""
        _check({product: "success"})
        index = self._subject(account_id).index
        self._world.touch(account_id, product)
        newest = tuple([entry.facts for entry in self._world.entries(index, product)[:1]])
        payload = payload_of(f"{product}.added", self._subject(account_id, items=newest))
        letter = Letter(self._new_id("event"), f"{product}.added", payload | {"link_token_id": None})
        self._send(letter)
        return letter.event_id

    def delete(self, account_id: str, product: Product, item_id: str) -> str:
        """Delete an item of a list, announce it, and return the event's id."""
        _check({product: "success"})
        subject = self._subject(account_id, items=(), gone=(item_id,))
        try:
            self._world.delete(account_id, product, item_id)
        except KeyError:
            raise ValueError(f"the account has no such item among its {product}") from None
        name = f"{product}.added"
        letter = Letter(self._new_id("event"), name, payload_of(name, subject) | {"link_token_id": None})
        self._send(letter)
        return letter.event_id

    def _stage(self, account_id: str, scene: Scene) -> list[Alarm]:
        """Put a scene on the clock: the job and its data first, then the announcement."""
        letter = Letter(self._new_id("event"), scene.event, scene.payload)
        acts: list[tuple[float, Callable[[], None]]] = [(scene.announced_s, partial(self._send, letter))]
        if scene.product is not None:
            reveal = partial(self._world.reveal, account_id, scene.product, scene.unseen)
            acts.append((scene.ends_s, reveal))
        if scene.event.endswith(".added") and "outcome" in scene.payload:
            acts.append((scene.ends_s, partial(self._world.add_job, account_id, scene.payload)))
        now = self._clock.now()
        return [self._clock.call_at(now + timedelta(seconds=at_s), act) for at_s, act in acts]

    def _subject(self, account_id: str | None, **said: Any) -> Subject:
        if account_id is None and not self._world.account_count:
            raise ValueError("the world has no account that the event could be about")
        account_id = self._world.account_id(0) if account_id is None else account_id
        try:
            self._world.index(account_id)
        except RefusedError:
            raise ValueError("the world has no such account; send an event of `make_event` about another one") from None
        job_id = self._new_id("job of an event")
        return Subject(world=self._world, account_id=account_id, at=self._clock.now(), job_id=job_id, **said)

    def _new_account(self) -> str:
        """Add an account like the recorded ones, on a platform that supports every product."""
        account_id = self._world.add_account()
        platforms = [_directory.platform(self._world.ids, number) for number in range(_directory.PLATFORM_COUNT)]
        able = [number for number, one in enumerate(platforms) if {*PRODUCTS} <= {*one["supported_jobs"]}]
        able.sort(key=lambda number: platforms[number]["type"] != "payroll")
        self._world.recast(account_id, **_AS_RECORDED, **({"platform": able[0]} if able else {}))
        return account_id

    def _new_id(self, kind: str) -> str:
        return self._world.ids.make(kind, next(self._numbers))


def _check(endings: Mapping[Product, Ending]) -> None:
    for product, ending in endings.items():
        if product not in PRODUCTS or ending not in get_args(Ending):
            raise ValueError(f"{product}: {ending} is nothing that can happen; products are {', '.join(PRODUCTS)}")
