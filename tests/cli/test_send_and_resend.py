"""The commands `send --set` and `inbox resend`, in this process."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pinwheel_async import ConfigurationError
from pinwheel_async.events import IncomeAdded, PaystubsAdded, ShiftsAdded
from pinwheel_async.testing import make_event, signed_delivery
from pinwheel_async.webhooks import KeyRing, SqliteInbox
from pinwheel_async.webhooks._delivery import make_delivery

SECRET, OTHER_SECRET = "secret-of-a-test", "secret-of-the-target"

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(call: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line that has the secret."""
    monkeypatch.setenv("PINWHEEL_API_SECRET", SECRET)
    return call


def is_authentic(arrival: Any, secret: str = SECRET) -> bool:
    return (
        KeyRing([secret])
        .verify(
            signature=arrival.headers["x-pinwheel-signature"],
            timestamp=arrival.headers["x-timestamp"],
            body=arrival.body,
        )
        .ok
    )


@pytest.mark.parametrize(
    ("event", "change", "place", "value"),
    [
        ("income.added", "payload.account_id=acc-1", ["account_id"], "acc-1"),
        ("income.added", "payload.outcome=null", ["outcome"], None),
        ("income.added", 'payload.end_user_id="42"', ["end_user_id"], "42"),
        ("income.added", "payload.end_user_id=NaN", ["end_user_id"], "NaN"),
        ("income.added", "payload.platform_name=a=b", ["platform_name"], "a=b"),
        ("income.added", "payload.params.anything=true", ["params", "anything"], True),
        ("income.added", 'payload.params={"a": [1]}', ["params"], {"a": [1]}),
        ("paystubs.added", "payload.params.count=7", ["params", "count"], 7),
        ("paystubs.added", "payload.added.0.year=2025", ["added", 0, "year"], 2025),
        ("paystubs.added", "payload.added.4.id=next", ["added", 4, "id"], "next"),
        ("paystubs.added", "payload.deleted.0.id=first", ["deleted", 0, "id"], "first"),
        ("paystubs.added", "payload.deleted.0=odd", ["deleted", 0], "odd"),
    ],
)
async def test_set(run: Run, serve: Any, event: str, change: str, place: list[Any], value: Any):
    """`--set` puts a value at a path, by its type in JSON or as text, and nothing else changes; it is signed."""
    target = await serve(web.Response())
    await run("send", event, target.base_url, "--event-id", "id")
    code = await run("send", event, target.base_url, "--event-id", "id", "--set", change)
    before, after = [json.loads(arrival.body) for arrival in target.arrivals]
    found = after["payload"]
    for name in place:
        found = found[name]

    assert (0, value) == (code, found)
    assert is_authentic(target.arrivals[1])
    unchanged = {name for name in before["payload"] if before["payload"][name] == after["payload"].get(name)}
    assert set(before["payload"]) - unchanged <= {place[0]}


async def test_set_several(run: Run, serve: Any):
    """Several `--set` are carried out one after the other."""
    target = await serve(web.Response())
    changes = ["--set", "payload.params={}", "--set", "payload.params.count=1"]
    await run("send", "paystubs.added", target.base_url, *changes)

    assert {"count": 1} == json.loads(target.arrivals[0].body)["payload"]["params"]


@pytest.mark.parametrize(
    ("event", "change", "problem"),
    [
        ("income.added", "payload.acount_id=1", r"no payload\.acount_id; did you mean payload\.account_id\?"),
        ("income.added", "income=1", "has no income"),
        ("income.added", "account_id=1", r"did you mean payload\.account_id\?"),
        ("income.added", "payload=1", "has no payload"),
        ("income.added", "payload.account_id.x=1", "has no payload.account_id.x"),
        ("paystubs.added", "payload.params.cuont=1", r"did you mean payload\.params\.count\?"),
        ("paystubs.added", "payload.added.0.yaer=1", r"did you mean payload\.added\.0\.year\?"),
        ("paystubs.added", "payload.added.9.year=1", "there is 4 items where 9 is to be"),
        ("income.added", "payload.account_id", "--set is a path and a value"),
    ],
)
async def test_set_of_nothing(run: Run, serve: Any, event: str, change: str, problem: str):
    """A path that the event does not have is refused with the nearest one that it has, and nothing is sent."""
    target = await serve(web.Response())
    with pytest.raises(ConfigurationError, match=problem):
        await run("send", event, target.base_url, "--set", change)

    assert [] == target.arrivals


async def test_set_below_what_was_set(run: Run):
    """A path that an earlier `--set` has made impossible is refused."""
    with pytest.raises(ConfigurationError, match="there is no object where count is to be"):
        await run(
            *("send", "paystubs.added", "http://127.0.0.1:9", "--set", "payload.params=1"),
            *("--set", "payload.params.count=1"),
        )


@pytest.fixture
async def bodies(tmp_path: Path) -> dict[str, bytes]:
    """Leave an inbox with three deliveries; give their bodies by id, in the order in which they came."""
    inbox = SqliteInbox(tmp_path / "inbox.db", keep_bodies_s=1_000)
    await inbox.open()
    found = {}
    for number, kind in enumerate((ShiftsAdded, IncomeAdded, PaystubsAdded)):
        made = signed_delivery(make_event(kind, event_id=f"id-{number}"), secret=SECRET, version="2023-11-22")
        await inbox.put(make_delivery(made.headers, made.body, key="0"))
        found[f"id-{number}"] = made.body
    (claim,) = await inbox.claim(1, lease_s=60)
    await inbox.done(claim)
    await inbox.close()
    return found


async def test_resend(run: Run, serve: Any, bodies: dict[str, bytes], capsys: Any):
    """What is stored is sent in its old order with its bytes and version, signed, and who read it is recorded."""
    target = await serve(web.Response())
    code = await run("inbox", "resend", "id-1", "id-0", "--to", f"{target.base_url}/hooks")
    inbox = SqliteInbox("inbox.db", read_only=True)
    await inbox.open()
    readings = await inbox.readings()
    await inbox.close()
    lines = capsys.readouterr().out.splitlines()

    assert 0 == code
    assert [bodies["id-0"], bodies["id-1"]] == [arrival.body for arrival in target.arrivals]
    assert all(is_authentic(arrival) for arrival in target.arrivals)
    assert ["2023-11-22"] * 2 == [arrival.headers["pinwheel-version"] for arrival in target.arrivals]
    assert ["200 shifts.added id-0", "200 income.added id-1"] == [line.partition(",")[0] for line in lines]
    assert ["id-1", "id-0"] == [reading.event_id for reading in readings]


async def test_resend_with_another_secret(
    run: Run, serve: Any, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    """The secret of the target goes before that of the API; a refusal is printed, and ends with 4."""
    monkeypatch.setenv("PINWHEEL_FORWARD_SECRET", OTHER_SECRET)
    target = await serve(web.Response(status=500))
    code = await run("inbox", "resend", "id-2", "--to", target.base_url, "--json")
    said = json.loads(capsys.readouterr().out)

    assert is_authentic(target.arrivals[0], OTHER_SECRET)
    assert (4, 500, "id-2") == (code, said["status"], said["event_id"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["id-0", "id-9", "--to", "http://127.0.0.1:9"], "there is no body of id-9"),
        (["--to", "http://127.0.0.1:9"], "say which deliveries to send"),
        (["id-0", "--to", "http://example.com"], "must be https"),
    ],
)
async def test_resend_of_nothing(run: Run, bodies: dict[str, bytes], arguments: list[str], problem: str):
    """Without a body, an id or a safe URL nothing is sent or read."""
    with pytest.raises(ConfigurationError, match=problem):
        await run("inbox", "resend", *arguments)
