"""Arguments of the receiver's classes that are something else: refused when they are given, with the cure."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import ConfigurationError, RequestError
from pinwheel_async.events import AccountAdded
from pinwheel_async.models import Account
from pinwheel_async.sync import MemorySink
from pinwheel_async.testing import make, make_event, signed_delivery
from pinwheel_async.webhooks import (
    MemoryInbox,
    PostgresInbox,
    Readiness,
    Receiver,
    Router,
    SqliteInbox,
    parse_delivery,
    webhook_app,
    work,
)

SECRET = "some-secret"


def make_receiver(router: Any = None, **arguments: Any) -> Receiver:
    return Receiver(Router() if router is None else router, [SECRET], **arguments)


def mount(**arguments: Any) -> object:
    return webhook_app(Router(), secrets=[SECRET], **arguments)


@pytest.mark.parametrize("make", [make_receiver, mount, Readiness])
@pytest.mark.parametrize("inbox", ["inbox.db", Path("inbox.db"), SqliteInbox, MemoryInbox, MemorySink(), {}, 5])
def test_no_inbox(make: Any, inbox: Any):
    """What is no inbox, such as the path of one, is refused with an example of one."""
    with pytest.raises(ConfigurationError, match=r'^inbox must be an inbox, such as SqliteInbox\("inbox.db"\)'):
        make(inbox=inbox)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("retry", 3),
        ("version", date(2025, 7, 8)),
        ("on_refused", "print"),
        ("on_stored", 5),
        ("max_age_s", "300"),
        ("max_age_s", -1),
        ("timeout_s", timedelta(seconds=3)),
        ("timeout_s", 0),
        ("lease_s", 0.0),
        ("shutdown_timeout_s", -1),
        ("concurrency", 0),
        ("concurrency", "16"),
        ("max_body_bytes", "1MB"),
    ],
)
def test_receiver(argument: str, value: Any):
    """An argument of another kind, or out of its range, is refused by its name, with what it must be."""
    with pytest.raises(ConfigurationError, match=rf"^{argument} must be .*, not {type(value).__name__}$"):
        make_receiver(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("router", {}),
        ("inbox", "inbox.db"),
        ("retry", 3),
        ("version", date(2025, 7, 8)),
        ("timeout_s", 0),
        ("lease_s", "15"),
        ("shutdown_timeout_s", -1),
        ("concurrency", 0),
    ],
)
async def test_work(argument: str, value: Any):
    """A process that only works checks its arguments as a receiver does, before anything is opened."""
    given: dict[str, Any] = {"router": Router(), "inbox": MemoryInbox()} | {argument: value}

    with pytest.raises(ConfigurationError, match=rf"^{argument} must be .*, not {type(value).__name__}$"):
        await work(given.pop("router"), **given)


@pytest.mark.parametrize("router", [[SECRET], {}, MemoryInbox(), Router])
def test_no_router(router: Any):
    """What is no router, such as the secrets in its place, is refused, and shows no secret."""
    with pytest.raises(ConfigurationError, match=r"^router must be a Router") as caught:
        make_receiver(router)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("argument", "value"), [("root", "app"), ("health_auth", 5), ("read_timeout_s", "10")])
def test_app(argument: str, value: Any):
    """What only the sub-application takes is checked, too."""
    with pytest.raises(ConfigurationError, match=rf"^{argument} must be .*, not {type(value).__name__}"):
        mount(**{argument: value})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": None}, "path must be that of a file"),
        ({"path": "sqlite:///inbox.db"}, "path must be that of a file"),
        ({"path": "postgresql://user@host/name"}, "path must be that of a file"),
        ({"key": "a" * 32}, "the key of an inbox is 32 random bytes"),
        ({"key": b"a" * 32, "old_keys": b"b" * 32}, "old_keys must be a list"),
        ({"keep_bodies_s": "7d"}, "keep_bodies_s must be a number"),
        ({"remember_s": timedelta(days=7)}, "remember_s must be a number"),
        ({"max_waiting": -1}, "max_waiting must be a number"),
        ({"max_waiting": "many"}, "max_waiting must be a number"),
    ],
)
def test_sqlite_inbox(arguments: dict[str, Any], problem: str):
    """A path that is none, a key or a limit of another kind is refused before any file is made."""
    with pytest.raises(ConfigurationError, match=f"^{problem}"):
        SqliteInbox(**{"path": "inbox.db"} | arguments)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"url": None}, "the URL of the inbox must be like"),
        ({"url": Path("inbox.db")}, "the URL of the inbox must be like"),
        ({"key": "a" * 32}, "the key of an inbox is 32 random bytes"),
        ({"key": b"a" * 32, "old_keys": b"b" * 32}, "old_keys must be a list"),
        ({"old_keys": [b"b" * 32]}, "old_keys go with a key"),
        ({"keep_bodies_s": "7d"}, "keep_bodies_s must be a number"),
        ({"remember_s": timedelta(days=7)}, "remember_s must be a number"),
        ({"timeout_s": "9"}, "timeout_s must be a number"),
        ({"max_waiting": -1}, "max_waiting must be a number"),
    ],
)
def test_postgres_inbox(arguments: dict[str, Any], problem: str):
    """An inbox in a database refuses the same as one in a file, and what is no URL."""
    with pytest.raises(ConfigurationError, match=f"^{problem}"):
        PostgresInbox(**{"url": "postgresql://app@db/pinwheel"} | arguments)


@pytest.mark.parametrize("argument", ["max_waiting", "remember_s"])
@pytest.mark.parametrize("value", [-1, "many"])
def test_memory_inbox(argument: str, value: Any):
    """Limits of an inbox in memory are numbers that are not negative, too."""
    with pytest.raises(ConfigurationError, match=f"^{argument} must be a number"):
        MemoryInbox(**{argument: value})


async def test_path_in_errors(tmp_path):
    """An inbox that cannot be opened is named by its path."""
    path = tmp_path / "missing" / "inbox.db"

    with pytest.raises(Exception, match="does its directory exist") as caught:
        await SqliteInbox(path).open()

    assert str(path) in str(caught.value)
    assert caught.value.path == str(path)  # type: ignore[attr-defined]


@pytest.mark.parametrize("account_id", [5, b"id", make(Account)])
@pytest.mark.parametrize("method", ["get", "wait", "watch"])
async def test_readiness_of_no_id(account_id: Any, method: str):
    """What is no id, such as the account itself, is refused at once."""
    call = getattr(Readiness(), method)(account_id)

    with pytest.raises(RequestError, match="account_id must be an id"):
        await (anext(call) if method == "watch" else call)


@pytest.mark.parametrize("argument", ["look_every_s", "stalled_after_s"])
@pytest.mark.parametrize("value", [0, -1, "30", timedelta(seconds=30)])
def test_readiness(argument: str, value: Any):
    """Seconds that are no number, or not more than 0, are refused by name."""
    with pytest.raises(ConfigurationError, match=f"{argument} must be more than 0"):
        Readiness(**{argument: value})


async def test_timeout_of_a_wait():
    """A wait for something other than seconds is refused by name."""
    with pytest.raises(RequestError, match="timeout_s must be a number of seconds, not timedelta"):
        await Readiness().wait("id", timeout_s=timedelta(seconds=3))  # type: ignore[call-overload]


sample = signed_delivery(make_event(AccountAdded), secret=SECRET)
LISTS = {name: [value] for name, value in sample.headers.items()}
ENVIRON = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sample.headers.items()}


def test_headers_with_lists():
    """Where a name has a list of values, as AWS hands them out, its first value counts."""
    assert isinstance(parse_delivery(LISTS, sample.body, secrets=[SECRET]), AccountAdded)  # type: ignore[arg-type]


async def test_environ():
    """Headers under the names of WSGI, in which nothing is found, are refused, and not answered 401 for ever."""
    with pytest.raises(ConfigurationError, match=r"pass request\.headers.*and not request\.META"):
        parse_delivery(ENVIRON, sample.body, secrets=[SECRET])
    async with make_receiver(inbox=MemoryInbox()) as receiver:
        with pytest.raises(ConfigurationError, match=r"pass request\.headers"):
            await receiver.receive(ENVIRON, sample.body)


@pytest.mark.parametrize("body", [sample.body.decode(), {"event": "account.added"}, None])
def test_body_of_another_kind(body: Any):
    """A body that is not the raw bytes is refused, and the message says where frameworks have them."""
    with pytest.raises(ConfigurationError, match=r"not (str|dict|NoneType): pass request\.body of Django.*AWS"):
        parse_delivery(sample.headers, body, secrets=[SECRET])


async def test_not_started(caplog):
    """A delivery to a receiver that was not started is answered 503, and the log says how to start it."""
    receiver = make_receiver(inbox=MemoryInbox())

    assert (await receiver.receive(sample.headers, sample.body)).status == 503
    assert "await receiver.start()" in caplog.text


async def test_block():
    """A receiver works within an `async with` block, and takes nothing after it."""
    async with make_receiver(inbox=MemoryInbox()) as receiver:
        assert (await receiver.receive(sample.headers, sample.body)).status == 200
    assert (await receiver.receive(sample.headers, sample.body)).status == 503


async def test_no_handlers(caplog):
    """A receiver without handlers says so when it starts: what comes would be done, and nobody would know."""
    async with make_receiver(inbox=MemoryInbox()):
        assert "the router has no handlers" in caplog.text
