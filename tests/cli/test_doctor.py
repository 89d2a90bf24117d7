"""The command `doctor`, in this process, against the fake."""

import asyncio
import json
from collections import namedtuple
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pinwheel_async import Pinwheel
from pinwheel_async.cli import _doctor
from pinwheel_async.sync import SqlSink, sync
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._delivery import make_delivery

SECRET = "secret-of-a-test"

ROUTER = """
from pinwheel_async.events import IncomeAdded
from pinwheel_async.webhooks import Router

router = Router()
empty = Router()

@router.on(IncomeAdded)
async def handle(event): ...
"""

Run = Callable[..., Awaitable[Any]]
Examine = Callable[..., Awaitable[tuple[int, dict[str, list[dict[str, Any]]]]]]


@pytest.fixture
async def fake(call: Run, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePinwheel]:
    """A fake that the variables lead to."""
    async with FakePinwheel(accounts=2, api_secret=SECRET) as running:
        monkeypatch.setenv("PINWHEEL_API_SECRET", SECRET)
        monkeypatch.setenv("PINWHEEL_BASE_URL", running.base_url)
        yield running


@pytest.fixture
def examine(call: Run, capsys: pytest.CaptureFixture[str]) -> Examine:
    """Run the command; return its exit code, and its findings by check."""

    async def run(*arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
        code = await call("doctor", "--json", *arguments)
        output = capsys.readouterr().out
        said = json.loads(output)
        assert SECRET not in output
        assert (code == 0) == said["ok"]
        assert all(finding["cure"] for finding in said["findings"] if finding["state"] in {"warning", "problem"})
        found: dict[str, list[dict[str, Any]]] = {}
        for finding in said["findings"]:
            found.setdefault(finding["check"], []).append(finding)
        return code, found

    return run


def states(found: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The state of each check that has one finding."""
    return {check: finding["state"] for check, (finding, *_) in found.items()}


async def test_all_is_well(fake: FakePinwheel, examine: Examine, tmp_path: Path):
    """Where all is well, everything that there is was looked at, and the exit code is 0; nothing is changed."""
    fake.subscribe("https://example.com/hooks", ["income.added"])
    (tmp_path / "app_of_all_well.py").write_text(ROUTER)
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    await inbox.close()
    async with Pinwheel(SECRET, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, SqlSink(f"sqlite:///{tmp_path / 'copy.db'}"), products=["income"])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    code, found = await examine("--handlers", "app_of_all_well:router", "--database", "copy.db")

    wanted = ("secret", "environment", "version", "clock", "handlers", "webhooks", "inbox", "database", "disk")
    assert (0, dict.fromkeys(wanted, "ok")) == (code, states(found))
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


async def test_nothing_is_set(call: Run, examine: Examine):
    """Without a secret that is a problem, and what needs it, or is not there, is skipped."""
    code, found = await examine()

    assert (1, "problem") == (code, states(found).pop("secret"))
    assert "PINWHEEL_API_SECRET" in found["secret"][0]["cure"]
    assert {"skipped"} == {state for check, state in states(found).items() if check != "secret"}


async def test_another_environment(fake: FakePinwheel, examine: Examine, monkeypatch: pytest.MonkeyPatch):
    """A secret that is not accepted is a problem; clock and the rest are looked at all the same."""
    monkeypatch.setenv("PINWHEEL_API_SECRET", "another-secret")
    code, found = await examine()

    assert (1, "problem", "ok") == (code, found["environment"][0]["state"], found["clock"][0]["state"])
    assert "PINWHEEL_ENVIRONMENT" in found["environment"][0]["cure"]


async def test_no_network(fake: FakePinwheel, examine: Examine, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int):
    """A server that is not there is a problem that names host and reason."""
    monkeypatch.setenv("PINWHEEL_BASE_URL", f"http://127.0.0.1:{unused_tcp_port}")
    code, found = await examine()

    assert (1, "problem") == (code, found["environment"][0]["state"])
    assert f"127.0.0.1:{unused_tcp_port}: GET /v1/accounts got no reply" in found["environment"][0]["text"]


@pytest.mark.parametrize(("hours", "text"), [(2, "2 h behind"), (-2, "2 h ahead")])
async def test_clock(fake: FakePinwheel, examine: Examine, hours: int, text: str):
    """A clock that differs from that of the server is a problem, which says how."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    fake.script(Fault(status=503, headers={"Date": date}), times=2, operation="list_accounts")
    code, found = await examine()

    assert (1, "problem", f"this machine is {text}") == (code, found["clock"][0]["state"], found["clock"][0]["text"])


async def test_another_version(examine: Examine, serve: Any, monkeypatch: pytest.MonkeyPatch):
    """An answer in another version is a warning."""
    site = await serve(web.json_response({"data": [], "meta": {}}, headers={"Pinwheel-Version": "2022-09-09"}))
    monkeypatch.setenv("PINWHEEL_API_SECRET", SECRET)
    monkeypatch.setenv("PINWHEEL_BASE_URL", site.base_url)
    _, found = await examine()

    assert "warning" == found["version"][0]["state"]


@pytest.mark.parametrize(
    ("events", "router", "expected"),
    [
        ([], "router", [("problem", "no webhook is active")]),
        (["shifts.added"], "router", [("problem", "sends income.added"), ("warning", "send shifts.added")]),
        (["income.added", "shifts.added"], "router", [("warning", "send shifts.added")]),
        (["income.added"], "router", [("ok", "1 active")]),
    ],
)
async def test_webhooks_against_handlers(
    fake: FakePinwheel, examine: Examine, tmp_path: Path, events: list[str], router: str, expected: list[Any]
):
    """What has a handler and is not sent is a problem, what is sent and has no handler a warning."""
    module = f"app_with_{'_'.join(events).replace('.', '_')}"
    (tmp_path / f"{module}.py").write_text(ROUTER)
    if events:
        fake.subscribe("https://example.com/hooks", events)
    _, found = await examine("--handlers", f"{module}:{router}")

    assert len(expected) == len(found["webhooks"])
    for (state, text), finding in zip(expected, found["webhooks"], strict=True):
        assert (state, True) == (finding["state"], text in finding["text"])


async def test_handlers_that_are_not_there(fake: FakePinwheel, examine: Examine):
    """A module that is not there is a problem of the webhooks, and ends no other check."""
    code, found = await examine("--handlers", "no_such_module:router")

    assert (1, "ok") == (code, found["environment"][0]["state"])
    assert "there is no module no_such_module" in found["webhooks"][0]["text"]


async def test_inbox(fake: FakePinwheel, examine: Examine, tmp_path: Path):
    """Dead deliveries, and those that have waited for long, are problems that name the commands."""
    inbox = SqliteInbox(tmp_path / "hooks.db")
    await inbox.open()
    for number in range(2):
        at = datetime.now(UTC) - timedelta(hours=2)
        await inbox.put(make_delivery({}, b'{"event_id": "%d"}' % number, key="0", received_at=at))
    (claim,) = await inbox.claim(1, lease_s=60)
    await inbox.fail(claim, reason="ValueError", retry_in_s=None)
    await inbox.close()
    code, found = await examine("--inbox", "hooks.db")
    dead, waiting = found["inbox"]

    assert (1, "problem", "problem") == (code, dead["state"], waiting["state"])
    assert "1 deliveries are dead" == dead["text"]
    assert "inbox revive" in dead["cure"]
    assert "1 wait, the oldest for 2 h" == waiting["text"]


@pytest.mark.parametrize("arguments", [("--inbox", "nowhere.db"), ("--database", "nowhere.db")])
async def test_what_is_named_and_not_there(fake: FakePinwheel, examine: Examine, tmp_path: Path, arguments: list[str]):
    """What is named and not there is a problem, and is not made."""
    code, found = await examine(*arguments)

    assert (1, "problem") == (code, found[arguments[0].removeprefix("--")][0]["state"])
    assert not list(tmp_path.iterdir())


async def test_what_cannot_be_read(fake: FakePinwheel, examine: Examine, tmp_path: Path):
    """A file of another kind is a problem, which says what makes a right one, and so is a right that is missing."""
    (tmp_path / "odd.db").write_bytes(b"no database" * 100)
    fake.script(Fault(status=403), operation="list_webhooks")
    code, found = await examine("--inbox", "odd.db", "--database", "odd.db")

    assert (1, "ok") == (code, found["environment"][0]["state"])
    assert "a receiver makes it" in found["inbox"][0]["cure"]
    assert "sync makes a copy" in found["database"][0]["cure"]
    assert "the key may read webhooks" in found["webhooks"][0]["cure"]


async def test_a_copy_with_failures(fake: FakePinwheel, examine: Examine, tmp_path: Path):
    """A copy with failures is a problem, and one whose products are not all read a warning."""
    fake.script(Fault(status=403), operation="get_income")
    async with Pinwheel(SECRET, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, SqlSink(f"sqlite:///{tmp_path / 'copy.db'}"), products=["income"])
    code, found = await examine("--database", "copy.db")

    assert (1, "problem") == (code, found["database"][0]["state"])
    assert "1 products of accounts failed" in found["database"][0]["text"]


async def test_old_copy(fake: FakePinwheel, examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A copy that was brought up to date days ago is a warning."""
    async with Pinwheel(SECRET, base_url=fake.base_url) as pinwheel:
        await sync(pinwheel, SqlSink(f"sqlite:///{tmp_path / 'copy.db'}"), products=["income"])
    monkeypatch.setattr(_doctor, "STALE", timedelta(0))
    code, found = await examine("--database", "copy.db")

    assert (0, "warning") == (code, found["database"][0]["state"])


async def test_full_disk(fake: FakePinwheel, examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk with little room is a problem."""
    (tmp_path / "copy.db").touch()
    usage = namedtuple("usage", "total used free")(10, 9, 1)  # noqa: PYI024  # as the standard library has it
    monkeypatch.setattr(_doctor.shutil, "disk_usage", lambda _: usage)
    _, found = await examine("--database", "copy.db")

    assert "problem" == found["disk"][0]["state"]


async def test_time_limit(fake: FakePinwheel, examine: Examine, monkeypatch: pytest.MonkeyPatch):
    """A check that does not end is a problem, and the others end all the same."""

    async def hang(*_: object) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(_doctor, "_database", hang)
    monkeypatch.setattr(_doctor, "DATABASE_LIMIT_S", 0.1)
    code, found = await examine()

    assert (1, "did not end within 0.1 s") == (code, found["database"][0]["text"])
    assert "ok" == found["environment"][0]["state"]


async def test_for_other_programs(fake: FakePinwheel, call: Run, capsys: pytest.CaptureFixture[str]):
    """In a pipe each finding is a line of four values between tabs."""
    await call("doctor")
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    assert {4} == {len(line) for line in lines}
    assert ["ok", "secret"] == lines[0][:2]
