"""Health: what it says, to whom, and what asking costs."""

import asyncio
import shutil

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.events import Event
from pinwheel_async.webhooks import Health, MemoryInbox, Receiver, Router, SqliteInbox, _health, webhook_app

SECRET = "a-secret-of-tests"
TOKEN = "a-token-of-some-length"
PATHS = ("/health", "/health/ready", "/health/live")


class Probed(MemoryInbox):
    """Counts how often it is written to for the health, and fails or hangs if it is told to."""

    def __init__(self):
        super().__init__()
        self.looks = 0
        self.error = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def save(self, key, value):
        self.looks += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await super().save(key, value)


@pytest.fixture
def router():
    return Router()


@pytest.fixture
async def start():
    """Start receivers; every one is stopped at the end."""
    receivers = []

    async def start(inbox=None, *, handler=None, secrets=(SECRET,), **options):
        router = Router()
        if handler is not None:
            router.on(Event)(handler)
        receiver = Receiver(router, secrets, inbox=inbox, **options)
        receivers.append(receiver)
        await receiver.start()
        return receiver

    yield start
    for receiver in receivers:
        await receiver.stop()


async def ask(sender, path="/health", **headers):
    async with sender.session.get(sender.url + path, headers=headers) as response:
        return response.status, await response.json()


async def until(predicate):
    async with asyncio.timeout(10):
        while not predicate():
            await asyncio.sleep(0)


async def test_ok(start):
    """A receiver that stores and handles is well."""
    assert Health(status="ok", waiting=0, claimed=0, dead=0, worker_alive=True, signed_by={"secret-1": 0}) == (
        await (await start(MemoryInbox())).health()
    )


async def test_without_inbox(start):
    """Without an inbox there is nothing to count."""
    assert Health(status="ok", signed_by={"secret-1": 0}) == await (await start()).health()


async def test_before_the_start():
    """Before the start a receiver is not open."""
    health = await Receiver(Router(), [SECRET], inbox=MemoryInbox()).health()

    assert ("unavailable", ("not_open",)) == (health.status, health.problems)


@pytest.mark.parametrize(
    "error", [InboxError("full", reason="SQLITE_FULL"), OSError("planted-4711")], ids=["InboxError", "foreign"]
)
async def test_cannot_store(start, error, caplog):
    """An inbox that cannot store makes the receiver unavailable, and the log says why, without words of others."""
    inbox = Probed()
    inbox.error = error
    health = await (await start(inbox)).health()

    assert ("unavailable", ("cannot_store",), None) == (health.status, health.problems, health.waiting)
    assert "the inbox cannot store: " in caplog.text
    assert "planted-4711" not in caplog.text


async def test_a_disk_that_is_full_for_long(start, monkeypatch, caplog):
    """However often the same trouble is seen, the log has it once a minute, and at once when it comes back."""
    monkeypatch.setattr(_health, "SHARED_S", 0.0)
    inbox, full = Probed(), InboxError("full", reason="SQLITE_FULL")
    receiver = await start(inbox)
    for error in (full, full, full, None, full):
        inbox.error = error
        await receiver.health()

    assert 2 == sum("the inbox cannot store" in record.message for record in caplog.records)


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_disk_free(start, tmp_path, kind):
    """What is left on the disk of the inbox is a number of bytes, where it has a disk."""
    inbox = SqliteInbox(tmp_path / "inbox.db") if kind == "file" else MemoryInbox()
    free = (await (await start(inbox)).health()).disk_free_bytes

    expected = shutil.disk_usage(tmp_path).free if kind == "file" else None
    assert free == expected or abs(free - expected) < expected / 2


async def test_hanging_disk(start, monkeypatch):
    """An inbox that hangs counts as one that cannot store, and is looked at once, however many ask."""
    monkeypatch.setattr(_health, "LOOK_S", 0.01)
    inbox = Probed()
    receiver = await start(inbox)
    inbox.gate.clear()
    found = [await receiver.health(), *await asyncio.gather(*[receiver.health() for _ in range(20)])]
    looks = inbox.looks
    inbox.gate.set()

    assert {("unavailable", ("cannot_store",))} == {(health.status, health.problems) for health in found}
    assert 1 == looks


async def test_dead_deliveries(start, body, headers):
    """Dead deliveries are said, and are no reason to be taken out of service."""
    receiver = await start(MemoryInbox())
    content = body(event_id="odd", timestamp="no date")
    await receiver.receive(headers(content), content)
    inbox = receiver._inbox
    async with asyncio.timeout(10):
        while not (await inbox.counts()).dead:
            await asyncio.sleep(0)
    health = await receiver.health()

    assert ("degraded", ("dead_deliveries",), 1) == (health.status, health.problems, health.dead)


async def test_worker_that_ended(start):
    """A receiver that handles nothing any more is unavailable."""
    receiver = await start(MemoryInbox())
    await receiver.drain()
    health = await receiver.health()

    assert ("unavailable", ("worker_ended",), False) == (health.status, health.problems, health.worker_alive)


async def test_stuck_handlers(start, body, headers, grace):
    """Handlers that ignore their cancellation are counted."""
    go_on = asyncio.Event()

    async def cling(event: Event) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    receiver = await start(MemoryInbox(), handler=cling, timeout_s=0.01)
    content = body()
    await receiver.receive(headers(content), content)
    await until(lambda: receiver._worker.stuck)
    health = await receiver.health()
    go_on.set()

    assert ("degraded", 1) == (health.status, health.stuck_handlers)
    assert "stuck_handlers" in health.problems


async def test_oldest(start, body, headers):
    """The age of the oldest waiting delivery is told."""
    receiver = await start(MemoryInbox())
    await receiver.drain()
    content = body()
    await receiver.receive(headers(content), content)
    health = await receiver.health()

    assert 1 == health.waiting
    assert health.oldest_waiting_s >= 0


async def test_refused_and_signed(start, body, headers):
    """Refusals are counted by reason, and authentic deliveries by the name of the secret."""
    receiver = await start(secrets={"old": "the-old-secret", "new": "the-new-secret"})
    content = body()
    for given in (headers(content, secret="the-new-secret"), headers(content), {}, {}):
        await receiver.receive(given, content)
    health = await receiver.health()

    assert {"signature_wrong": 1, "signature_missing": 2} == health.refused
    assert {"old": 0, "new": 1} == health.signed_by


async def test_shared(start):
    """One look serves all who ask within a second."""
    inbox = Probed()
    receiver = await start(inbox)
    await asyncio.gather(*[receiver.health() for _ in range(100)])
    await receiver.health()

    assert 1 == inbox.looks


async def test_looked_at_again(start, monkeypatch):
    """What was seen is not told for longer than it is shared."""
    monkeypatch.setattr(_health, "SHARED_S", 0)
    inbox = Probed()
    receiver = await start(inbox)
    await receiver.health()
    inbox.error = OSError()

    assert "unavailable" == (await receiver.health()).status


async def test_one_that_goes(start):
    """Who asks and goes away takes the look from nobody else."""
    inbox = Probed()
    receiver = await start(inbox)
    inbox.gate.clear()
    asking = [asyncio.create_task(receiver.health()) for _ in range(2)]
    await until(lambda: inbox.looks)
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    inbox.gate.set()

    assert "ok" == (await asking[1]).status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("with_inbox", [True, False])
async def test_over_http(mount, router, path, with_inbox):
    """A receiver that is well answers 200 with one word on each path."""
    async with mount(router, inbox=MemoryInbox() if with_inbox else None) as sender:
        assert (200, {"status": "ok"}) == await ask(sender, path)


@pytest.mark.parametrize(("path", "status"), [("/health", 503), ("/health/ready", 503), ("/health/live", 200)])
async def test_unavailable_over_http(mount, router, path, status):
    """An inbox that cannot store makes the receiver not ready; it lives all the same."""
    inbox = Probed()
    inbox.error = OSError()
    async with mount(router, inbox=inbox) as sender:
        assert status == (await ask(sender, path))[0]


async def test_live_does_not_look(mount, router):
    """Whether the process lives is told without the inbox."""
    inbox = Probed()
    async with mount(router, inbox=inbox) as sender:
        await ask(sender, "/health/live")

    assert 0 == inbox.looks


@pytest.mark.parametrize("given", ["", TOKEN, "Bearer", f"Bearer {TOKEN}x", f"bearer {TOKEN}", "Bearer é\udcff"])
async def test_another_token(mount, router, given):
    """Who has not the token learns one word."""
    async with mount(router, inbox=MemoryInbox(), health_auth=TOKEN) as sender:
        headers = {"Authorization": given.encode("utf-8", "surrogateescape").decode("latin-1")}
        assert (200, {"status": "ok"}) == await ask(sender, **headers)


async def test_token(mount, router):
    """Who has the token learns everything."""
    async with mount(router, inbox=MemoryInbox(), health_auth=TOKEN) as sender:
        status, details = await ask(sender, Authorization=f"Bearer {TOKEN}")

    assert 200 == status
    assert Health(**details | {"problems": ()}) == Health(
        status="ok", waiting=0, claimed=0, dead=0, worker_alive=True, signed_by={"secret-1": 0}
    )


async def ask_later(request):
    await asyncio.sleep(0)
    return request.headers.get("X-Operator") == "yes"


@pytest.mark.parametrize("guard", [lambda request: request.headers.get("X-Operator") == "yes", ask_later])
@pytest.mark.parametrize("operator", ["yes", "no"])
async def test_guard(mount, router, guard, operator):
    """A function of the request, asynchronous or not, may decide who learns everything."""
    async with mount(router, inbox=MemoryInbox(), health_auth=guard) as sender:
        _, details = await ask(sender, **{"X-Operator": operator})

    assert (operator == "yes") == ("waiting" in details)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt], ids=lambda kind: kind.__name__)
async def test_guard_that_fails(mount, router, caplog, error, sigint_handled):
    """What the function raises is logged by its kind, lets nobody in, and does not end the server."""

    def fail(request):
        raise error("planted-4711")

    async with mount(router, inbox=MemoryInbox(), health_auth=fail) as sender:
        assert (200, {"status": "ok"}) == await ask(sender)
    assert f"health_auth failed: {error.__name__}" in caplog.text
    assert "planted-4711" not in caplog.text


@pytest.mark.parametrize("token", ["", "planted", "é" * 16])
def test_token_that_cannot_be_one(token):
    """A token that could be guessed, or not be sent, is refused when the receiver is made, and not shown."""
    with pytest.raises(ConfigurationError, match="16 ASCII characters") as caught:
        webhook_app(Router(), secrets=[SECRET], health_auth=token)

    assert "planted" not in str(caught.value)
