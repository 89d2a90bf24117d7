"""FakePinwheel: the API on loopback, with a made-up world behind it and trouble on order.

What it answers is here; what it announces by webhooks is in `_announcer.py`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import ExitStack
from time import monotonic
from typing import Any, Self

from aiohttp import web
from attrs import field, frozen

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.testing._announcer import Announcer
from pinwheel_async.testing._call import Reply
from pinwheel_async.testing._clock import FakeClock
from pinwheel_async.testing._faults import Fault, Faults, Gate, Target, broken
from pinwheel_async.testing._loop import LoopThread
from pinwheel_async.testing._service import Asked, Service
from pinwheel_async.testing._world import World

_KEPT_REQUESTS = 10_000
_PATIENCE_S = 0.01  # for requests in flight when the fake stops; aiohttp takes 0 for "without end"


@frozen(kw_only=True)
class SeenRequest:
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


class FakePinwheel(Announcer):
    """A Pinwheel API of its own, on a free port of the loopback interface.

    ```python
    async with FakePinwheel(accounts=100) as fake:
        async with Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel: ...
    ```

    Opened with a plain `with`, it serves from a thread and an event loop of its own, so that blocking code and any
    async test plugin can use it.

    The data follows from the seed; nothing in it belongs to anybody. Every endpoint of `pinwheel_async.endpoints` is
    served. What the API's documentation leaves open is decided strictly, so that a client that works here asks for
    nothing that is not promised.

    Its time stands still until a test turns it (`await fake.advance(60)`), so that what takes minutes or days in the
    world takes none in a test.

    Args:
        accounts: Number of accounts in the world.
        seed: Another seed makes another world.
        host: Where to listen.
        port: Where to listen; 0 for a free port.
        api_secret: What clients have to send, and what signs deliveries.
        endpoints: What to serve.
        real_time: Let the fake's clock go with the real time, for demonstrations.
        resign_retries: Whether a repeated delivery has a timestamp and a signature of its own; what the API does is
            (unverified).
        patience_s: Real seconds for which the clock waits for a receiver's answer before it may go on without it.

    Attributes:
        world: The data, and the ways to change it.
        clock: What time it is; `advance()` turns it.
        deliveries: The last 10,000 tries to deliver something, in the order in which they ended.
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
        api_secret: str = "fake-secret-of-nobody",  # noqa: S107  # the secret of a server that only exists in tests
        endpoints: Iterable[Endpoint[Any]] = ENDPOINTS,
        real_time: bool = False,
        resign_retries: bool = True,
        patience_s: float = 1.0,
    ) -> None:
        clock = FakeClock(real_time=real_time)
        world = World(accounts=accounts, seed=seed, api_secret=api_secret, clock=clock)
        super().__init__(world, clock, api_secret, resign_retries=resign_retries, patience_s=patience_s)
        self.requests: deque[SeenRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.counts: Counter[str] = Counter()
        self.peak_in_flight: int = 0
        self._in_flight = 0
        self._endpoints = tuple(endpoints)
        self._address = (host, port)
        self._faults = Faults()
        self._gate = Gate()
        self._service: Service | None = None
        self._runner: web.ServerRunner | None = None
        self._thread = ExitStack()

    def __repr__(self) -> str:
        """Return where it listens."""
        return f"<FakePinwheel {self.base_url if self._runner else 'not started'}>"

    @property
    def base_url(self) -> str:
        """Scheme, host and port; only while it runs."""
        if self._runner is None:
            raise RuntimeError("FakePinwheel is not started: open it with `async with` or `with`")
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
            faults: What goes wrong.
            times: How often to go through the faults.
            operation: Only requests for this operation, such as `list_paystubs`.
            path: Only requests with this path, as it goes over the wire, without query.
            account_id: Only requests with this account in their path.
        """
        self._faults.script(faults * times, Target(operation=operation, path=path, account_id=account_id))

    def storm(
        self,
        probability: float,
        fault: Fault | None = None,
        *,
        seed: int = 0,
        operation: str | None = None,
        path: str | None = None,
        account_id: str | None = None,
    ) -> None:
        """Let any request fail with a probability until `calm()`; the rolls of the dice follow from the seed.

        Args:
            probability: 0 to 1.
            fault: What goes wrong; a 503 when None.
            seed: Another seed makes other requests fail.
            operation: Only requests for this operation.
            path: Only requests with this path.
            account_id: Only requests with this account in their path.
        """
        target = Target(operation=operation, path=path, account_id=account_id)
        self._faults.storm(fault or Fault(status=503), probability, target, seed)

    def limit(self, *, requests_per_s: float | None = None, in_flight: int | None = None) -> None:
        """Answer 429 with `Retry-After` to whatever comes too fast; None means no such limit."""
        self._gate = Gate(requests_per_s, in_flight)

    def calm(self) -> None:
        """End all scripts, storms, limits and mischief."""
        self.mischief()
        self._faults.clear()
        self._gate = Gate()

    def expire_cursors(self) -> None:
        """Refuse every cursor that was handed out so far."""
        self._running().cursors.expire()

    def forget(self) -> None:
        """Empty the records of requests and deliveries; the world stays as it is."""
        self.deliveries.clear()
        self.requests.clear()
        self.counts.clear()
        self.peak_in_flight = self._in_flight

    async def start(self) -> None:
        """Begin to listen; `async with` does it."""
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=_PATIENCE_S)
        await runner.setup()
        await web.TCPSite(runner, *self._address).start()
        self._runner = runner
        self._service = Service(self._endpoints, self.world, self.base_url)
        await self._begin_to_announce()

    async def stop(self) -> None:
        """Close every connection and give up what is not delivered yet; `async with` does it."""
        await self._stop_announcing()
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
        self._thread.callback(thread.close)
        try:
            thread.run(self.start())
        except BaseException:
            self._thread.close()
            raise
        self._thread.callback(lambda: thread.run(self.stop()))
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()

    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError("FakePinwheel is not started: open it with `async with` or `with`")
        return self._service

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        service = self._running()
        body = await request.read() if request.can_read_body else b""
        asked = service.ask(request.method, request.raw_path, request.headers, body)
        operation = asked.row.operation if asked.row else None
        self._record(asked, operation)
        wait_s = self._gate.refused_for_s(self._in_flight, monotonic())
        if wait_s is not None:
            return _response(broken(Reply(429, b"", {}), Fault(status=429, retry_after_s=wait_s)))
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            faults = self._faults.take(operation, asked.path, asked.values.get("account_id"))
            return await self._answer(request, service, asked, faults) if faults else _response(service.answer(asked))
        finally:
            self._in_flight -= 1

    async def _answer(
        self, request: web.BaseRequest, service: Service, asked: Asked, faults: list[Fault]
    ) -> web.StreamResponse:
        delay_s = sum(fault.delay_s for fault in faults)
        if delay_s:
            await asyncio.sleep(delay_s)
        if any(fault.cut == "before" for fault in faults):
            return _cut(request, web.Response())
        refused = any(fault.refuses for fault in faults)
        reply = Reply(500, b"", {}) if refused else service.answer(asked)
        for fault in reversed(faults):  # the one that was ordered first has the last word
            reply = broken(reply, fault)
        if any(fault.cut == "mid_body" for fault in faults):
            return _cut(request, await _send_half(request, reply))
        return _response(reply)

    def _record(self, asked: Asked, operation: str | None) -> None:
        self.counts[operation or "unknown"] += 1
        self.requests.append(
            SeenRequest(
                method=asked.method,
                path=asked.path,
                query=tuple(asked.query),
                operation=operation,
                version=asked.headers.get("Pinwheel-Version"),
                has_secret="x-api-secret" in asked.headers,
                body=asked.body,
            )
        )


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body or None, headers=reply.headers)


def _cut(request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
    """Close the connection. What is returned then is not sent; to raise instead would be logged as an error."""
    request.protocol.force_close()
    return answer


async def _send_half(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    half = web.StreamResponse(status=reply.status, headers=reply.headers)
    half.content_length = len(reply.body)
    await half.prepare(request)
    await half.write(reply.body[: len(reply.body) // 2])
    return half
