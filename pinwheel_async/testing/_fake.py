"""Fake server of the Pinwheel API, on loopback: answers requests, sends webhooks, injects faults.

One class of about 700 lines, half of them its docstrings: it is the whole public face of the fake. Each part of the
work is in a folder of its own, `_api` and `_webhooks`.
"""

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, date, datetime, time
from itertools import count
from time import monotonic
from typing import Any, Self, TypeVar, cast, get_args

import msgspec
from aiohttp import web
from attrs import field, frozen

from pinwheel_async._core.arguments import is_at_least, is_more_than, meant, wrong
from pinwheel_async._core.convert import read_as
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._privacy import Discreet
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import Event
from pinwheel_async.models.webhook import Webhook, WebhookEventName, WebhookVersion
from pinwheel_async.products import Product
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._api.faults import Fault, RateLimiter, RequestFaults, Target, apply_fault
from pinwheel_async.testing._api.links import FILES
from pinwheel_async.testing._api.request import Reply
from pinwheel_async.testing._api.routes import Routes
from pinwheel_async.testing._api.service import RoutedRequest, Service
from pinwheel_async.testing._clock import FakeClock
from pinwheel_async.testing._control.control import CONTROL, Control
from pinwheel_async.testing._loop import LoopThread
from pinwheel_async.testing._webhooks.body import OutgoingEvent
from pinwheel_async.testing._webhooks.delivery_faults import DeliveryFaults
from pinwheel_async.testing._webhooks.link_session import Ending, LinkSession
from pinwheel_async.testing._webhooks.outbox import KEPT_ATTEMPTS, Attempt, Outbox
from pinwheel_async.testing._webhooks.scenarios import PlayedScenario, ScenarioName, play
from pinwheel_async.testing._webhooks.sender import Sender
from pinwheel_async.testing._webhooks.simulation import Simulation, check_event_name
from pinwheel_async.testing._world.records import RefusedError
from pinwheel_async.testing._world.resources import LOOPBACK_URL, WEBHOOK_URL
from pinwheel_async.testing._world.world import World

T = TypeVar("T")

_KEPT_REQUESTS = 10_000
_NO_FAULT = "there must be a fault with at least one part: status, retry_after_s, delay_s, cut, body, json or headers"
_NOT_STARTED = "FakePinwheel is not started: open it with `async with` or `with`"
# Requests in flight when the fake stops are not waited for; 0 would let aiohttp wait without end.
_SHUTDOWN_TIMEOUT_S = 0.01


@frozen(kw_only=True)
class SeenRequest(Discreet):
    """One request as the fake saw it; its repr shows nothing that a client sent."""

    method: str
    path: str = field(repr=False)
    """Path as it came, percent-encoded, without the query."""
    query: tuple[str, ...]
    """Names of the query parameters."""
    operation: str | None
    """Name of the operation, such as `list_paystubs`; None where no endpoint fits."""
    version: str | None
    """`Pinwheel-Version` that was sent."""
    has_secret: bool
    """Whether an `x-api-secret` was sent, right or wrong."""
    body: bytes = field(repr=False)


class FakePinwheel:
    """A Pinwheel API of its own, on a free port of the loopback interface.

    ```python
    async with FakePinwheel(accounts=100) as fake:
        async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel: ...
    ```

    Opened with a plain `with`, it serves from a thread and an event loop of its own, so that blocking code and any
    async test plugin can use it.

    The data follows from the seed, and all of it is made up. Every endpoint of `pinwheel_async.endpoints` is served.
    What the API's documentation leaves open is decided strictly, so that a client that works here relies on nothing
    that is not promised.

    Its time stands still until a test advances it (`await fake.advance(60)`), so that what takes minutes or days in
    reality takes none in a test. The data ends on the day on which the fake begins, and everything goes by one clock:
    data, webhooks, Link tokens, cursors, links to files.

    Under `/_fake/` are endpoints to drive it over HTTP, and a page with buttons: see `pinwheel-async fake`.

    Args:
        accounts: Number of accounts in the world.
        seed: Another seed makes another world.
        host: Where to listen.
        port: Where to listen; 0 for a free port.
        api_secret: Secret that clients have to send, and that signs deliveries.
        endpoints: Endpoints to serve.
        today: Day on which the data ends and the clock begins, at noon UTC; today, and now, if None.
        speed: How many seconds go by on the fake's clock in a real one: 1 for the real time. None lets it stand still
            until it is advanced.
        resign_retries: Whether a repeated delivery has a timestamp and a signature of its own; what the API does is
            (unverified).
        patience_s: Real seconds for which the clock waits for a receiver's answer before it may go on without it.

    Attributes:
        world: The data, and the ways to change it.
        clock: Its time; `advance()` turns it ahead.
        deliveries: The last 10,000 attempts to deliver an event, in the order in which they ended.
        requests: The last 10,000 requests, oldest first.
        counts: Number of requests by operation.
        peak_in_flight: Most requests that were being answered at the same time.
    """

    def __init__(
        self,
        *,
        accounts: int = 20,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        api_secret: str = "fake-secret",  # noqa: S107  # the secret of a server that only exists in tests
        endpoints: Iterable[Endpoint[Any]] = ENDPOINTS,
        today: date | None = None,
        speed: float | None = None,
        resign_retries: bool = True,
        patience_s: float = 1.0,
    ) -> None:
        self.clock: FakeClock = FakeClock(
            speed=speed, start=None if today is None else datetime.combine(today, time(12), UTC)
        )
        self.api_secret = api_secret
        self.world: World = World(
            accounts=accounts, seed=seed, api_secret=api_secret, clock=self.clock, end=self._day()
        )
        self.deliveries: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.requests: deque[SeenRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.counts: Counter[str] = Counter()
        self.peak_in_flight: int = 0
        self._in_flight = 0
        self._endpoints = tuple(endpoints)
        self._address = (host, port)
        self._request_faults = RequestFaults()
        self._rate_limiter = RateLimiter()
        self._service: Service | None = None
        self._runner: web.ServerRunner | None = None
        self._thread_exits = ExitStack()
        self._resign_retries = resign_retries
        self._patience_s = patience_s
        self._delivery_faults = DeliveryFaults()
        self._forwards: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._numbers = count(1)
        self._sent: dict[str, OutgoingEvent] = {}
        self._subscribed: list[dict[str, Any]] = []
        self._outbox: Outbox | None = None
        self._simulation: Simulation | None = None
        self._control = Control(self)
        self._webhook_exits = AsyncExitStack()

    def __repr__(self) -> str:
        """Return where it listens."""
        return f"<FakePinwheel {self.base_url if self._runner else 'not started'}>"

    @property
    def base_url(self) -> str:
        """Scheme, host and port; only while it runs."""
        if self._runner is None:
            raise RuntimeError(_NOT_STARTED)
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def script(
        self,
        *faults: Fault,
        times: int = 1,
        operation: str | None = None,
        path: str | None = None,
        account_id: str | None = None,
    ) -> None:
        """Let the next requests fail, one fault each, in this order.

        Several scripts that fit the same request all apply to it.

        Args:
            faults: Faults, each for one request.
            times: How often to go through the faults.
            operation: Only requests for this operation, such as `list_paystubs`.
            path: Only requests with this path, as it goes over the wire, without query.
            account_id: Only requests with this account in their path.

        Raises:
            ValueError: There is no fault, or no such operation, path or account, so that none would ever happen.
        """
        if times < 1:
            raise ValueError("times must be 1 or more")
        if all(fault.is_empty for fault in faults):
            raise ValueError(_NO_FAULT)
        self._request_faults.script(faults * times, self._target(operation, path, account_id))

    def fail_randomly(
        self,
        probability: float,
        fault: Fault | None = None,
        *,
        seed: int = 0,
        operation: str | None = None,
        path: str | None = None,
        account_id: str | None = None,
    ) -> None:
        """Let any request fail with a probability until `clear_faults()`; which ones do follows from the seed.

        Args:
            probability: 0 to 1.
            fault: The fault; a 503 if None.
            seed: Another seed makes other requests fail.
            operation: Only requests for this operation.
            path: Only requests with this path.
            account_id: Only requests with this account in their path.

        Raises:
            ValueError: There is no such operation, path or account, the fault changes nothing, or it is no probability.
        """
        if not is_at_least(probability, 0) or probability > 1:
            raise ValueError(wrong("probability", "from 0 to 1", probability, float))
        if fault is not None and fault.is_empty:
            raise ValueError(_NO_FAULT)
        target = self._target(operation, path, account_id)
        self._request_faults.fail_randomly(fault or Fault(status=503), probability, target, seed)

    def rate_limit(self, *, requests_per_s: float | None = None, in_flight: int | None = None) -> None:
        """Answer 429 with `Retry-After` to requests that come too fast; None means no such limit.

        Raises:
            ValueError: A limit that lets nothing through.
        """
        for name, limit in (("requests_per_s", requests_per_s), ("in_flight", in_flight)):
            if limit is not None and not is_more_than(limit, 0):
                raise ValueError(wrong(name, "more than 0", limit, float))
        self._rate_limiter = RateLimiter(requests_per_s, in_flight)

    def webhook_faults(
        self,
        *,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
        corrupt: float = 0.0,
        lose: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Let deliveries go wrong from now on, in place of what was set before; `clear_faults()` ends it.

        Each is a chance from 0 to 1 for every event and webhook; which deliveries it hits follows from the seed.

        Args:
            duplicate: It is sent twice, with the same event id; with *delay*, one of them may come late.
            reorder: The next delivery to the same webhook overtakes it; it waits 10 seconds for one.
            delay: It is sent half a minute to ten minutes late.
            corrupt: Before it goes a copy whose signature is wrong, which a receiver must refuse.
            lose: It is never sent.
            seed: Another seed hits other deliveries.
        """
        self._delivery_faults = DeliveryFaults(
            duplicate=duplicate, reorder=reorder, delay=delay, corrupt=corrupt, lose=lose, seed=seed
        )

    def clear_faults(self) -> None:
        """End all faults of requests and webhooks: scripts, random faults, rate limits."""
        self.webhook_faults()
        self._request_faults.clear()
        self._rate_limiter = RateLimiter()

    def expire_cursors(self) -> None:
        """Refuse every cursor that was handed out so far."""
        self._running().cursors.expire()

    def clear_records(self) -> None:
        """Empty the records of requests and deliveries; the world stays as it is."""
        self.deliveries.clear()
        self.requests.clear()
        self.counts.clear()
        self.peak_in_flight = self._in_flight

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
            secret: Secret that signs; the fake's API secret if None.

        Raises:
            ValueError: The URL is neither, an event is misspelt, or there are ten webhooks already.
        """
        if not re.fullmatch(WEBHOOK_URL, url):
            raise ValueError("url must be https, or http on 127.0.0.1")
        if isinstance(events, str):
            raise ValueError("events must be several names, even for one")  # noqa: TRY004  # as for all that is wrong
        for event in events or ():
            check_event_name(event)
        names = get_args(WebhookEventName) if events is None else events
        body = {"url": url, "status": "active", "enabled_events": list(names), "version": version}
        made = self._subscribe(body, secret)
        self._subscribed.append({"body": body, "secret": secret})
        return made

    def forward(self, url: str, to: str) -> None:
        """Deliver to a place on this machine what goes to URLs that begin with *url*.

        So a receiver in a test gets what goes to `https://app.example.com`, which the API demands to be https.

        Raises:
            ValueError: *to* is on another machine.
        """
        if not re.fullmatch(LOOPBACK_URL, to):
            raise ValueError("to must be http or https on 127.0.0.1")
        self._forwards[url] = to

    async def deliver(
        self, event: str | Event, /, *, account_id: str | None = None, event_id: str | None = None, **payload: Any
    ) -> str:
        """Send an event to every active webhook that lists it, and wait until the first attempts were answered.

        The payload is made up about an account of the world as it is now: `paystubs.added` names every paystub there.

        Args:
            event: Name of an event, or an event that is sent as it is.
            account_id: Account that it is about; the first one if None.
            event_id: Its id; a new one if None.
            payload: Keys of the payload to set. With `outcome="error"` the rest of it fits that.

        Returns:
            The event's id; `deliveries` tells what became of it.

        Raises:
            ValueError: The world has no such account, or there is no such event: neither does the API know it, nor does
                a webhook list it.
        """
        return await self._run(lambda simulation: simulation.deliver(event, account_id, event_id, payload))

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
            account_id: An account of the world, whose data is fetched from the start again; a new one, with 31
                paystubs and 90 shifts, if None.
            end_user_id: Owner of the account; the one that the Link token names, if None.
            link_token_id: Link token of the session; a made-up one if None.
            outcome: How the jobs of products end, where it is not `success`: `error`; `pending`, which becomes a
                success within 24 hours; `pending_error`, which becomes an error; `stalled`, which is never announced.

        Raises:
            ValueError: The world has no such account, or there is no such product.
        """
        return await self._run(
            lambda simulation: simulation.connect(account_id, end_user_id, link_token_id, outcome or {})
        )

    async def play(
        self,
        scenario: ScenarioName | str = "happy",
        *,
        account_id: str | None = None,
        end_user_id: str | None = None,
        link_token_id: str | None = None,
        employer_id: str | None = None,
    ) -> PlayedScenario:
        """Let an end user go through Link by a scenario; returns when the login was announced.

        The rest comes as time goes on; `duration_s` of what is returned is how far to advance the clock for all of it.

        Args:
            scenario: Name of the scenario, such as `happy`, `wrong_password` or `gig_worker`; `ScenarioName` lists all.
            account_id: An account of the world that is connected again; a new one if None.
            end_user_id: Who connects; the one that the Link token names, or somebody made up, if None.
            link_token_id: Link token of the session; a made-up one if None.
            employer_id: Employer that is chosen; any if None.

        Raises:
            ValueError: There is no such scenario, account or employer.
        """
        return await self._run(
            lambda simulation: play(
                simulation,
                scenario,
                account_id=account_id,
                end_user_id=end_user_id,
                link_token_id=link_token_id,
                employer_id=employer_id,
            )
        )

    async def redeliver(self, event_id: str) -> None:
        """Send one of the last 10,000 events again, with the same id, to every active webhook that lists it.

        Raises:
            ValueError: No such event was sent.
        """
        event = self._sent.get(event_id)
        if event is None:
            raise ValueError(f"no event {event_id} was sent{meant(event_id, self._sent)}")
        await self._run(lambda _: self._send(event))

    async def reset(self) -> None:
        """Go back to the beginning: time, data, faults, records. Only the webhooks that `subscribe` made stay.

        Links, cursors, Link tokens and API keys that were made are not good any more.
        """
        await self._run(lambda _: self._begin_again())

    def _begin_again(self) -> None:
        if self._outbox is not None:
            self._outbox.reset()
        self.clock.reset()
        self.world.reset(self._day())
        self.clear_faults()
        self.clear_records()
        self._secrets.clear()
        self._sent.clear()
        self._numbers = count(1)
        for subscribed in self._subscribed:
            self._subscribe(**subscribed)
        self._service = Service(self._endpoints, self.world, self.base_url)
        self._simulation = Simulation(self.world, self.clock, self._send, self._numbers)

    async def refresh(self, account_id: str, product: Product) -> str:
        """Let new data of a product be found in the background: change it, announce it, and return the event's id."""
        return await self._run(lambda simulation: simulation.refresh(account_id, product))

    async def delete(self, account_id: str, product: Product, item_id: str) -> str:
        """Let an item of a list be gone in the background: delete it, announce it, and return the event's id.

        Raises:
            ValueError: The world has no such account, or the account no such item.
        """
        return await self._run(lambda simulation: simulation.delete(account_id, product, item_id))

    async def advance(self, seconds: float) -> None:
        """Turn the clock ahead, and wait until everything that is due on the way has been done."""
        await self._run(lambda _: self.clock.advance(seconds))

    async def settle(self) -> None:
        """Wait until no delivery is due and none is under way.

        A receiver that does not answer is waited for only so long (`patience_s`); its delivery fails when 15 seconds
        have gone by on the clock.
        """
        await self._run(lambda _: None)

    async def start(self) -> None:
        """Begin to listen; `async with` does it."""
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        await web.TCPSite(runner, *self._address).start()
        self._runner = runner
        self._service = Service(self._endpoints, self.world, self.base_url)
        await self._start_webhooks()

    async def stop(self) -> None:
        """Close every connection and drop what is not delivered yet; `async with` does it."""
        await self._stop_webhooks()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._service = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        thread = LoopThread("FakePinwheel")
        self._thread_exits.callback(thread.close)
        try:
            thread.run(self.start())
        except BaseException:
            self._thread_exits.close()
            raise
        self._thread_exits.callback(lambda: thread.run(self.stop()))
        return self

    def __exit__(self, *_: object) -> None:
        self._thread_exits.close()

    def _day(self) -> datetime:
        """Return the end of the data.

        It is a midnight, so that the data of a day is the same whenever the fake begins on it, and none of it is in the
        future.
        """
        return datetime.combine(self.clock.now().date(), time(0), UTC)

    def _subscribe(self, body: dict[str, Any], secret: str | None) -> Webhook:
        try:
            made = self.world.resources.create_webhook(body)
        except RefusedError as error:
            raise ValueError(error.message) from None
        if secret is not None:
            self._secrets[made["id"]] = secret
        return cast("Webhook", read_as(Webhook, msgspec.json.encode(made)))

    def _target(self, operation: str | None, path: str | None, account_id: str | None) -> Target:
        """Make the target of a fault.

        Raises:
            ValueError: No request could ever be meant.
        """
        operations = {row.operation for row in self._endpoints}
        if operation is not None and operation not in operations:
            raise ValueError(f"there is no operation {operation}{meant(operation, operations)}")
        if path is not None and not path.startswith(FILES) and Routes(self._endpoints).find(path) is None:
            raise ValueError(f"no endpoint has the path {path}; it goes without a query, as in /v1/accounts")
        if account_id is not None and account_id not in self.world:
            raise ValueError(f"the world has no account {account_id}{self.world.meant_account(account_id)}")
        return Target(operation=operation, path=path, account_id=account_id)

    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError(_NOT_STARTED)
        return self._service

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        service = self._running()
        body = await request.read() if request.can_read_body else b""
        if request.raw_path.startswith(CONTROL):
            return _response(await self._control.answer(request.method, request.raw_path, request.headers, body))
        routed = service.route(request.method, request.raw_path, request.headers, body)
        operation = routed.row.operation if routed.row else None
        self._record(routed, operation)
        # Before the request is counted as in flight, so that a refused one takes no place from the others.
        wait_s = self._rate_limiter.refused_for_s(self._in_flight, monotonic())
        if wait_s is not None:
            return _response(apply_fault(Reply(429, b"", {}), Fault(status=429, retry_after_s=wait_s)))
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            faults = self._request_faults.take(operation, routed.path, routed.values.get("account_id"))
            if faults:
                return await self._answer_with_faults(request, service, routed, faults)
            return _response(service.answer(routed))
        finally:
            self._in_flight -= 1

    async def _answer_with_faults(
        self, request: web.BaseRequest, service: Service, routed: RoutedRequest, faults: list[Fault]
    ) -> web.StreamResponse:
        delay_s = sum(fault.delay_s for fault in faults)
        if delay_s:
            await asyncio.sleep(delay_s)
        if any(fault.cut == "before" for fault in faults):
            return _cut(request, web.Response())
        refused = any(fault.refuses for fault in faults)
        reply = Reply(500, b"", {}) if refused else service.answer(routed)
        for fault in reversed(faults):  # the first one of the script last, so that it wins
            reply = apply_fault(reply, fault)
        if any(fault.cut == "mid_body" for fault in faults):
            return _cut(request, await _send_half(request, reply))
        return _response(reply)

    def _record(self, routed: RoutedRequest, operation: str | None) -> None:
        self.counts[operation or "unknown"] += 1
        self.requests.append(
            SeenRequest(
                method=routed.method,
                path=routed.path,
                query=tuple(routed.query),
                operation=operation,
                version=routed.headers.get("Pinwheel-Version"),
                has_secret="x-api-secret" in routed.headers,
                body=routed.body,
            )
        )

    async def _start_webhooks(self) -> None:
        loop = asyncio.get_running_loop()
        sender = await self._webhook_exits.enter_async_context(Sender())
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
            sent=self._sent,
            secrets=self._secrets,
        )
        # Closed in reverse order: the clock first, so that no alarm begins another delivery; then the deliveries under
        # way; the session that they use last.
        self._webhook_exits.push_async_callback(outbox.stop)
        self._webhook_exits.callback(self.clock.stop)
        self.clock.start(loop)
        self._outbox = outbox
        self._simulation = Simulation(self.world, self.clock, self._send, self._numbers)

    def _send(self, event: OutgoingEvent) -> None:
        if self._outbox is not None:
            self._outbox.send(event, self._delivery_faults)

    async def _stop_webhooks(self) -> None:
        self._simulation = self._outbox = None
        await self._webhook_exits.aclose()

    async def _run(self, action: Callable[[Simulation], T]) -> T:
        """Let something happen in the fake's own loop, and wait until every delivery that it caused was attempted."""
        simulation, loop = self._simulation, self.clock.loop
        if simulation is None or loop is None:
            raise RuntimeError(_NOT_STARTED)

        async def run() -> T:
            result = action(simulation)
            await self.clock.idle()
            return result

        if loop is asyncio.get_running_loop():
            return await run()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop))


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body or None, headers=reply.headers)


def _cut(request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
    """Close the connection. The answer that is returned is not sent; to raise instead would be logged as an error."""
    request.protocol.force_close()
    return answer


async def _send_half(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    half = web.StreamResponse(status=reply.status, headers=reply.headers)
    half.content_length = len(reply.body)
    await half.prepare(request)
    await half.write(reply.body[: len(reply.body) // 2])
    return half
