"""The command `listen` with a target to forward to, and with a subscription of its own; in this process."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from pinwheel_async import PinwheelError
from pinwheel_async.cli import _forward
from pinwheel_async.cli._listen import listen
from pinwheel_async.cli._server import serving
from pinwheel_async.events import PaystubsAdded
from pinwheel_async.testing import FakePinwheel, Fault, SignedDelivery, make_event, signed_delivery
from pinwheel_async.testing._webhooks.sender import Sender
from pinwheel_async.webhooks import KeyRing, SqliteInbox

SECRET, OTHER_SECRET = "secret-of-a-test", "secret-of-the-target"
DEADLINE_S = 30.0

Listen = Callable[..., AbstractAsyncContextManager["Listening"]]


class Listening:
    """A `listen` that runs, and what it has printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.url = self.out = self.err = ""

    def read(self) -> None:
        found = self._capsys.readouterr()
        self.out += found.out
        self.err += found.err

    async def until(self, pattern: str) -> re.Match[str]:
        """Wait for something in what is printed."""
        async with asyncio.timeout(DEADLINE_S):
            while not (match := re.search(pattern, self.out + self.err)):
                await asyncio.sleep(0.01)
                self.read()
            return match

    async def send(self, delivery: SignedDelivery) -> int | None:
        async with Sender() as sender:
            return await sender.post(self.url, delivery)


@pytest.fixture
def listening(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Listen:
    """Run the command for a block, in an empty folder; the end of the block interrupts it."""
    log = logging.getLogger("pinwheel_async.webhooks")
    monkeypatch.setattr(log, "level", log.level)
    monkeypatch.setenv("PINWHEEL_API_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[Listening]:
        made = Listening(capsys)
        task = asyncio.create_task(listen(port=0, **options))
        task.add_done_callback(lambda _: made.read())
        ready = asyncio.create_task(made.until(r"listening at (\S+),"))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()
        made.url = (await ready)[1]
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return start


@pytest.fixture
async def target(serve: Callable[..., Awaitable[Any]]) -> Any:
    """A receiver that has taken nothing yet, and answers 202."""
    return await serve(web.Response(status=202))


def delivery(**changes: Any) -> SignedDelivery:
    event = make_event(PaystubsAdded, event_id=str(uuid4()), **changes)
    return signed_delivery(event, secret=SECRET, timestamp=1_770_000_000)


def event_id(sent: SignedDelivery) -> str:
    return json.loads(sent.body)["event_id"]


async def test_as_it_came(listening: Listen, target: Any):
    """The target gets the bytes and the headers that were signed, the sender its answer, and its time is printed."""
    sent = delivery()
    async with listening(forward_to=f"{target.base_url}/hooks") as running:
        status = await running.send(sent)
        await running.until(f"paystubs.added {event_id(sent)} forwarded=202 ms=\\d+\n")
        await running.until(f"paystubs.added {event_id(sent)} account_id=")
    (arrival,) = target.arrivals

    assert 202 == status
    assert ("POST", "/hooks", sent.body) == (arrival.method, arrival.target, arrival.body)
    assert dict(sent.headers).items() <= arrival.headers.items()


async def test_signed_anew(listening: Listen, target: Any, monkeypatch: pytest.MonkeyPatch):
    """With the secret of the target in its variable, the target can verify what it gets; the secret is not printed."""
    monkeypatch.setenv("PINWHEEL_FORWARD_SECRET", OTHER_SECRET)
    sent = delivery()
    async with listening(forward_to=target.base_url) as running:
        await running.send(sent)
    (arrival,) = target.arrivals
    verdict = KeyRing([OTHER_SECRET]).verify(
        signature=arrival.headers["x-pinwheel-signature"],
        timestamp=arrival.headers["x-timestamp"],
        body=arrival.body,
    )

    assert verdict.ok
    assert sent.body == arrival.body
    assert "1770000000" != arrival.headers["x-timestamp"]
    assert OTHER_SECRET not in running.out + running.err


async def test_not_authentic(listening: Listen, target: Any):
    """What is not authentic is refused, and the target never sees it."""
    async with listening(forward_to=target.base_url) as running:
        forged = signed_delivery(make_event(PaystubsAdded), secret="another")
        status = await running.send(forged)

    assert (401, []) == (status, target.arrivals)


@pytest.mark.parametrize("status", [400, 500])
async def test_refused_by_the_target(listening: Listen, serve: Any, tmp_path: Any, status: int):
    """What the target refuses is answered as it answers, and not kept, so that it counts as new when it comes again."""
    target = await serve(web.Response(status=status), web.Response(status=200))
    sent = delivery()
    async with listening(forward_to=target.base_url) as running:
        first = await running.send(sent)
        kept = await entries(tmp_path / "listen.db")
        second = await running.send(sent)
        await running.until(f"{event_id(sent)} forwarded={status} ")
        await running.until(f"{event_id(sent)} forwarded=200 ")

    assert (status, 200) == (first, second)
    assert ([], [event_id(sent)]) == (kept, await entries(tmp_path / "listen.db"))


async def entries(file: Path) -> list[str]:
    """Return the ids of what an inbox holds."""
    inbox = SqliteInbox(file, read_only=True)
    await inbox.open()
    found = await inbox.entries()
    await inbox.close()
    return [entry.event_id for entry in found]


async def test_a_target_that_is_down(listening: Listen, unused_tcp_port: int):
    """Where no target answers, the sender is asked to come again, and that is printed, also as JSON."""
    sent = delivery()
    async with listening(forward_to=f"http://127.0.0.1:{unused_tcp_port}/", json=True) as running:
        status = await running.send(sent)
        await running.until(r"\n")
    said = json.loads(running.out.splitlines()[0])

    assert 503 == status
    assert (event_id(sent), None) == (said["event_id"], said["forwarded"])


async def test_a_target_that_hangs(listening: Listen, serve: Any, monkeypatch: pytest.MonkeyPatch):
    """A target that does not answer in time counts as down, before the sender gives up."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    monkeypatch.setattr(_forward, "TIMEOUT_S", 0.1)
    target = await serve(hang)
    sent = delivery()
    async with listening(forward_to=target.base_url) as running:
        status = await running.send(sent)
        await running.until(f"{event_id(sent)} forwarded=no-answer")

    assert 503 == status


async def test_a_large_body(listening: Listen):
    """A body of 2 MB, twice what aiohttp lets a middleware read by itself, is forwarded and kept."""
    sizes: list[int] = []

    async def take(request: web.Request) -> web.Response:
        sizes.append(len(await request.content.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    sent = signed_delivery(delivery().body + b" " * 2_000_000, secret=SECRET)
    async with serving(app) as url, listening(forward_to=url) as running:
        status = await running.send(sent)

    assert (200, [len(sent.body)]) == (status, sizes)


async def test_no_payload_is_printed(listening: Listen, target: Any):
    """What is printed of a forwarded delivery holds no value of its payload, and not the path of the target."""
    sent = delivery(end_user_id="planted", platform_name="planted")
    async with listening(forward_to=f"{target.base_url}/planted") as running:
        await running.send(sent)
        await running.until("account_id=")

    assert "planted" not in running.out + running.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"forward_to": "http://example.com/hooks"}, "must be https, or http on this machine"),
        ({"apply": True}, "--apply and --public-url go together"),
        ({"public_url": "https://example.com"}, "--apply and --public-url go together"),
    ],
)
async def test_wrong_usage(listening: Listen, tmp_path: Any, options: dict[str, Any], problem: str):
    """Options that make no sense are refused before anything is opened."""
    with pytest.raises(PinwheelError, match=problem):
        async with listening(**options):
            pass

    assert not list(tmp_path.iterdir())


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePinwheel]:
    async with FakePinwheel(accounts=1, api_secret=SECRET) as running:
        monkeypatch.setenv("PINWHEEL_BASE_URL", running.base_url)
        yield running


@pytest.mark.parametrize(
    ("public_url", "subscribed"),
    [
        ("https://tunnel.example.com", "https://tunnel.example.com/webhooks/pinwheel"),
        ("https://tunnel.example.com/", "https://tunnel.example.com/webhooks/pinwheel"),
        ("https://tunnel.example.com/mine", "https://tunnel.example.com/mine"),
    ],
)
async def test_apply(listening: Listen, fake: FakePinwheel, public_url: str, subscribed: str):
    """`--apply` subscribes the public URL to every event, and deletes that webhook at the end, and no other."""
    fake.subscribe("https://example.com/others")
    async with listening(apply=True, public_url=public_url) as running:
        await running.until("subscribed as webhook")
        _, webhook = fake.world.resources.webhooks.values()
        url, events = webhook["url"].partition("#")[0], webhook["enabled_events"]

    assert subscribed == url
    assert len(events) > 30
    assert ["https://example.com/others"] == [left["url"] for left in fake.world.resources.webhooks.values()]


async def test_a_webhook_that_cannot_be_deleted(listening: Listen, fake: FakePinwheel):
    """Where the webhook cannot be deleted, its id is said, as somebody has to delete it."""

    async def run() -> None:
        async with listening(apply=True, public_url="https://tunnel.example.com") as running:
            await running.until("subscribed as webhook")
            fake.script(Fault(status=403), operation="delete_webhook")

    with pytest.raises(PinwheelError, match=r"^webhook \S+ is still subscribed: "):
        await run()
