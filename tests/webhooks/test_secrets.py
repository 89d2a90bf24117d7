"""Secrets of a receiver: given once, or asked for while it runs."""

import asyncio

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import KeyRing, MemoryInbox, Receiver, Router, _receiver, _secrets, sign

OLD, NEW = "planted-old", "planted-new"


class Store:
    """A secret store, and a clock for when it is asked."""

    def __init__(self, monkeypatch):
        self.secrets = {"old": OLD}
        self.error = None
        self.asked = 0
        self.now = 1000.0
        monkeypatch.setattr(_secrets, "monotonic", lambda: self.now)

    def __call__(self):
        self.asked += 1
        if self.error:
            raise self.error
        return self.secrets

    async def later(self):
        await asyncio.sleep(0)
        return self()


@pytest.fixture
def store(monkeypatch):
    return Store(monkeypatch)


@pytest.fixture
async def receiving():
    """Start receivers; every one is stopped at the end."""
    receivers = []

    async def start(secrets, **options):
        receiver = Receiver(Router(), secrets, inbox=MemoryInbox(), **options)
        receivers.append(receiver)
        await receiver.start()
        return receiver

    yield start
    for receiver in receivers:
        await receiver.stop()


async def status(receiver, secret, body=b'{"event_id":"1","event":"income.added"}', **options):
    headers = {"x-pinwheel-signature": sign(secret, "1773760000", body), "x-timestamp": "1773760000"}
    return (await receiver.receive(headers, body, **options)).status


@pytest.mark.parametrize("secrets", [[OLD], {"old": OLD}, KeyRing([OLD])], ids=["list", "mapping", "ring"])
@pytest.mark.parametrize("shape", ["given", "function", "asynchronous"])
async def test_every_form(receiving, secrets, shape):
    """Secrets come in every form, as they are or from a function."""

    async def later():
        return secrets

    receiver = await receiving({"given": secrets, "function": lambda: secrets, "asynchronous": later}[shape])

    assert (200, shape == "given") == (await status(receiver, OLD), await status(receiver, NEW) == 401)


@pytest.mark.parametrize("name", ["__call__", "later"])
async def test_a_secret_is_changed(receiving, store, name):
    """A delivery that is signed with a new secret is stored without a restart, and counted under its name."""
    receiver = await receiving(getattr(store, name))
    store.secrets = {"old": OLD, "new": NEW}
    store.now += _secrets.ASK_AGAIN_S

    assert 200 == await status(receiver, NEW)
    assert {"old": 0, "new": 1} == (await receiver.health()).signed_by


async def test_wrong_signatures_ask_seldom(receiving, store):
    """However many signatures are wrong, the function is asked once in some seconds, and once for all that wait."""
    receiver = await receiving(store.later)
    store.now += _secrets.ASK_AGAIN_S

    await asyncio.gather(*[status(receiver, NEW) for _ in range(50)])
    await status(receiver, NEW)

    assert 2 == store.asked


async def test_what_may_be_signed_with_a_new_secret(receiving, store):
    """Only what was asked after a delivery came tells that no secret has signed it; until then it is to come again."""
    receiver = await receiving(store.later)
    at_once = await status(receiver, NEW)
    store.now += _secrets.ASK_AGAIN_S
    first, *others = await asyncio.gather(*[status(receiver, NEW) for _ in range(5)])
    store.secrets = {"new": NEW}
    soon = await status(receiver, NEW)
    store.now += _secrets.ASK_AGAIN_S

    assert (503, 401, {503}, 503) == (at_once, first, set(others), soon)
    assert [200] * 5 == await asyncio.gather(*[status(receiver, NEW) for _ in range(5)])


async def test_asking_every_minute_finds_a_new_secret(receiving, store):
    """A delivery for which the function is asked because of the time, too, is stored or refused by what it says."""
    receiver = await receiving(store.later)
    store.now += _secrets.ASK_EVERY_S
    wrong = await status(receiver, NEW)
    store.secrets = {"new": NEW}
    store.now += _secrets.ASK_EVERY_S

    assert (401, 200) == (wrong, await status(receiver, NEW))


async def test_a_slow_function_leaves_time_to_store(receiving, store, monkeypatch):
    """A delivery waits for the function only as long as the sender waits for its answer."""
    monkeypatch.setattr(_secrets, "ASK_TIMEOUT_S", 60)
    answer = asyncio.Event()

    async def ask():
        if store.asked:
            await answer.wait()
        return store()

    receiver = await receiving(ask)
    store.now += _secrets.ASK_AGAIN_S
    async with asyncio.timeout(_receiver.ANSWER_S - _receiver.MIN_PUT_S - 2):
        late = await status(receiver, NEW, waited_s=9.9)
    store.secrets = {"new": NEW}
    answer.set()
    async with asyncio.timeout(30):
        while await status(receiver, NEW) != 200:
            await asyncio.sleep(0.001)

    assert 503 == late


async def test_bodies_that_wait_for_the_function_are_bounded(receiving, store):
    """What waits for secrets counts in the bytes that may be buffered, and counts no more afterwards."""
    answer = asyncio.Event()

    async def ask():
        if store.asked:
            await answer.wait()
        return store()

    receiver = await receiving(ask, max_body_bytes=20_000, max_buffered_bytes=50_000)
    store.now += _secrets.ASK_AGAIN_S
    body = b" " * 20_000
    waiting = [asyncio.create_task(status(receiver, NEW, body)) for _ in range(2)]
    async with asyncio.timeout(30):
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    refused = dict((await receiver.health()).refused)
    answer.set()
    await asyncio.gather(*waiting)

    assert [503] == [task.result() for task in done]
    assert {"overloaded": 1} == refused
    assert receiver.buffered.take(50_000)


async def test_a_secret_is_retired(receiving, store):
    """A secret that the function leaves out is good no more a minute later."""
    receiver = await receiving(store.later)
    store.secrets = {"new": NEW}
    store.now += _secrets.ASK_EVERY_S - 1
    early = await status(receiver, OLD)
    store.now += 1
    await status(receiver, OLD)
    async with asyncio.timeout(5):
        while await status(receiver, OLD) == 200:
            await asyncio.sleep(0)

    assert 200 == early
    assert 200 == await status(receiver, NEW)


@pytest.mark.parametrize(
    "broken",
    [
        *[kind("planted-text") for kind in (RuntimeError, SystemExit, KeyboardInterrupt)],
        *["planted-text", [], None, ["planted "], 7],
    ],
    ids=repr,
)
async def test_a_function_that_fails(receiving, store, broken, caplog, sigint_handled):
    """While it fails or returns none, the secrets of before are good, and what none of them signed is to come again."""
    receiver = await receiving(store)
    if isinstance(broken, BaseException):
        store.error = broken
    else:
        store.secrets = broken
    store.now += _secrets.ASK_AGAIN_S

    answers = [await status(receiver, NEW), await status(receiver, OLD)]

    assert [503, 200] == answers
    assert {"secrets_not_renewed": 1} == (await receiver.health()).refused
    assert "the function for secrets" in caplog.text
    assert "planted" not in caplog.text


async def test_a_function_that_fails_at_the_start(receiving, store):
    """A receiver without any secret does not start."""
    store.error = RuntimeError("planted")

    with pytest.raises(ConfigurationError, match="the function for secrets gave none") as caught:
        await receiving(store)

    assert "planted" not in str(caught.value)


async def test_a_function_that_hangs(receiving, monkeypatch, caplog):
    """A function that does not answer in time fails."""
    monkeypatch.setattr(_secrets, "ASK_TIMEOUT_S", 0.01)

    with pytest.raises(ConfigurationError):
        await receiving(lambda: asyncio.get_running_loop().create_future())

    assert "TimeoutError" in caplog.text


async def test_a_stop_ends_the_asking(receiving, store):
    """A receiver that stops leaves no asking behind."""
    release = asyncio.Event()
    receiver = await receiving(store)

    async def hang():
        await release.wait()
        return {}

    receiver._secrets._function = hang
    store.now += _secrets.ASK_EVERY_S
    await status(receiver, OLD)
    await receiver.stop()

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "pinwheel secrets"]
