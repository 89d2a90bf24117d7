"""The half of the fake that speaks first: webhooks, Link sessions, mischief, and the clock they go by."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, TypeVar, cast, get_args

import msgspec

from pinwheel_async._core.convert import read_as
from pinwheel_async.events import Event
from pinwheel_async.models.webhook import Webhook, WebhookEventName, WebhookVersion
from pinwheel_async.products import Product
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._call import RefusedError
from pinwheel_async.testing._checks import LOOPBACK_URL, WEBHOOK_URL
from pinwheel_async.testing._clock import FakeClock
from pinwheel_async.testing._deliveries import Attempt, Outbox, new_record
from pinwheel_async.testing._mischief import Mischief
from pinwheel_async.testing._sender import Sender
from pinwheel_async.testing._session import Ending, LinkSession
from pinwheel_async.testing._story import Story
from pinwheel_async.testing._world import World

T = TypeVar("T")


class Announcer:
    """Announces what happens in a world to those who subscribed.

    Its coroutines may be awaited in any event loop; a fake that serves from a thread does the work there.
    """

    def __init__(
        self, world: World, clock: FakeClock, api_secret: str, *, resign_retries: bool, patience_s: float
    ) -> None:
        self.world = world
        self.clock = clock
        self.api_secret = api_secret
        self.deliveries: deque[Attempt] = new_record()
        self._resign_retries = resign_retries
        self._patience_s = patience_s
        self._mischief = Mischief()
        self._forwards: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._numbers = count(1)
        self._story: Story | None = None
        self._open = AsyncExitStack()

    def subscribe(
        self,
        url: str,
        events: Sequence[WebhookEventName | str] | None = None,
        *,
        version: WebhookVersion | str = LATEST_VERSION,
        secret: str | None = None,
    ) -> Webhook:
        """Make an active webhook, as `POST /v1/webhooks` does.

        Args:
            url: Where to deliver to: https, or http on this machine, such as `http://127.0.0.1:8080/webhooks`.
                Nothing is ever sent to another machine; see `forward`.
            events: Names of events, also of some that the API does not know; all 34 of the API if None.
            version: Version of the payloads.
            secret: What signs; the fake's API secret if None.

        Raises:
            ValueError: The URL is neither, or there are ten webhooks already.
        """
        if not re.fullmatch(WEBHOOK_URL, url):
            raise ValueError("url must be https, or http on 127.0.0.1")
        names = get_args(WebhookEventName) if events is None else events
        body = {"url": url, "status": "active", "enabled_events": list(names), "version": version}
        try:
            made = self.world.desk.create_webhook(body)
        except RefusedError as error:
            raise ValueError(error.message) from None
        if secret is not None:
            self._secrets[made["id"]] = secret
        return cast("Webhook", read_as(Webhook, msgspec.json.encode(made)))

    def forward(self, url: str, to: str) -> None:
        """Deliver to a place on this machine what goes to URLs that begin with *url*.

        So a receiver in a test gets what goes to `https://app.example.com`, which the API demands to be https.

        Raises:
            ValueError: *to* is on another machine.
        """
        if not re.fullmatch(LOOPBACK_URL, to):
            raise ValueError("to must be http or https on 127.0.0.1")
        self._forwards[url] = to

    def mischief(
        self,
        *,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
        corrupt: float = 0.0,
        lose: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Let deliveries go wrong from now on, in place of what was ordered before; `calm()` ends it.

        Each is a chance from 0 to 1 for every event and webhook; the rolls of the dice follow from the seed.

        Args:
            duplicate: It is sent twice, with the same event id; with *delay*, one of them may come late.
            reorder: The next delivery to the same webhook overtakes it; it waits 10 seconds for one.
            delay: It is sent half a minute to ten minutes late.
            corrupt: Before it goes a copy whose signature is wrong, which a receiver must refuse.
            lose: It is never sent.
            seed: Another seed hits other deliveries.
        """
        self._mischief = Mischief(
            duplicate=duplicate, reorder=reorder, delay=delay, corrupt=corrupt, lose=lose, seed=seed
        )

    async def deliver(
        self, event: str | Event, /, *, account_id: str | None = None, event_id: str | None = None, **payload: Any
    ) -> str:
        """Send an event to every active webhook that lists it, and wait until the first tries were answered.

        The payload is made up about an account of the world as it is now: `paystubs.added` names every paystub there.

        Args:
            event: Name of an event, or an event that is sent as it is.
            account_id: Account that it is about; the first one if None.
            event_id: Its id; a new one if None.
            payload: Keys of the payload to set. With `outcome="error"` the rest of it fits that.

        Returns:
            The event's id; `deliveries` tells what became of it.

        Raises:
            ValueError: The world has no such account.
        """
        return await self._tell(lambda story: story.deliver(event, account_id, event_id, payload))

    async def connect(
        self,
        account_id: str | None = None,
        *,
        end_user_id: str | None = None,
        link_token_id: str | None = None,
        outcome: Mapping[Product, Ending] | None = None,
    ) -> LinkSession:
        """Let an end user connect an account with Link; returns when `account.added` was delivered.

        The rest comes as time goes on, over some 40 seconds: identity and income, batches of paystubs and shifts, and
        so on. Each kind of data is there from the moment its job ends, which is shortly before it is announced; until
        then lists are empty and the rest is 404. Only what the account's platform supports is ever there.

        Args:
            account_id: An account of the world, whose data begins anew; a new one, with 31 paystubs and 90 shifts, if
                None.
            end_user_id: Whose account it is; whom the Link token names, if None.
            link_token_id: Link token of the session; one that nobody made, if None.
            outcome: How the jobs of products end, where it is not `success`: `error`; `pending`, which becomes a
                success within 24 hours; `pending_error`, which becomes an error; `stalled`, of which nothing is heard.

        Raises:
            ValueError: The world has no such account, or there is no such product.
        """
        return await self._tell(lambda story: story.connect(account_id, end_user_id, link_token_id, outcome or {}))

    async def refresh(self, account_id: str, product: Product) -> str:
        """Let new data of a product be found in the background: change it, announce it, and return the event's id."""
        return await self._tell(lambda story: story.refresh(account_id, product))

    async def delete(self, account_id: str, product: Product, item_id: str) -> str:
        """Let an item of a list be gone in the background: delete it, announce it, and return the event's id.

        Raises:
            ValueError: The world has no such account, or the account no such item.
        """
        return await self._tell(lambda story: story.delete(account_id, product, item_id))

    async def advance(self, seconds: float) -> None:
        """Turn the clock ahead, and wait until everything that is due on the way has been done."""
        await self._tell(lambda _: self.clock.advance(seconds))

    async def settle(self) -> None:
        """Wait until no delivery is due and none is under way.

        A receiver that does not answer is waited for only so long (`patience_s`); its delivery fails when 15 seconds
        have gone by on the clock.
        """
        await self._tell(lambda _: None)

    async def _begin_to_announce(self) -> None:
        loop = asyncio.get_running_loop()
        sender = await self._open.enter_async_context(Sender())
        outbox = Outbox(
            world=self.world,
            clock=self.clock,
            post=sender.post,
            loop=loop,
            api_secret=self.api_secret,
            resign_retries=self._resign_retries,
            patience_s=self._patience_s,
            attempts=self.deliveries,
            forwards=self._forwards,
            secrets=self._secrets,
        )
        self._open.push_async_callback(outbox.stop)
        self._open.callback(self.clock.stop)
        self.clock.start(loop)
        self._story = Story(self.world, self.clock, lambda letter: outbox.send(letter, self._mischief), self._numbers)

    async def _stop_announcing(self) -> None:
        self._story = None
        await self._open.aclose()

    async def _tell(self, happen: Callable[[Story], T]) -> T:
        """Let something happen in the fake's own loop, and wait until it was told to those who want to know."""
        story, loop = self._story, self.clock.loop
        if story is None or loop is None:
            raise RuntimeError("FakePinwheel is not started: open it with `async with` or `with`")

        async def tell() -> T:
            found = happen(story)
            await self.clock.settled()
            return found

        if loop is asyncio.get_running_loop():
            return await tell()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(tell(), loop))
