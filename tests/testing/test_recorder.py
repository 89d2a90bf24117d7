"""Recorder and player: everything that was answered can be played, and nothing of it is known any more."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from aiohttp import ClientSession, web

from pinwheel_async import ConfigurationError, NotFoundError, Pinwheel, PinwheelError, RetryPolicy, capture
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import EVENTS, IncomeAdded, PaystubsAdded, decode_event
from pinwheel_async.models import Paystub
from pinwheel_async.testing import (
    CassettePlayer,
    FakePinwheel,
    Fault,
    Recorder,
    make,
    make_event,
    signed_delivery,
)
from pinwheel_async.testing._recorder import mask as _mask
from pinwheel_async.testing._recorder.mask import Mask, _fields, _parts
from pinwheel_async.webhooks import parse_delivery

SECRET = "secret-of-a-test"
ONE_ATTEMPT = RetryPolicy(attempts=1)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key for all cassettes, so that no mask is by chance what it masks."""
    monkeypatch.setattr(_mask.secrets, "token_bytes", lambda count: b"k" * count)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in JSON, and where it stands."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{path}.{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, f"{path}[{index}]")
    else:
        yield path, value


def words(kind: Any, found: set[str] | None = None) -> set[str]:
    """Return every documented word of a class, and of those in it."""
    found = set() if found is None else found
    for part in _parts(kind):
        if get_origin(part) is Literal:
            found |= {str(word) for word in get_args(part)}
        elif get_origin(part) is tuple:
            words(get_args(part)[0], found)
        elif isinstance(part, type) and hasattr(part, "__attrs_attrs__"):
            for inner in _fields(part).values():
                words(inner, found)
    return found


def unmasked(original: Any, masked: Any, allowed: set[str]) -> list[str]:
    """Return where a value is the same as before, but for documented words, yes and no, and how many there are."""
    after = dict(leaves(masked))
    return [
        place
        for place, value in leaves(original)
        if value == after.get(place)
        and value not in (None, True, False, 0, "")
        and str(value) not in allowed
        and not place.endswith((".count", ".priority"))
    ]


async def test_record_and_play(tmp_path: Path):
    """What is played has the shape, the words and the relations of what was recorded, and none of its values."""
    file = tmp_path / "cassette.json"
    async with FakePinwheel(accounts=3, api_secret=SECRET) as fake:
        account_id = fake.world.account_id(0)
        with capture() as replies:
            async with (
                Recorder(file, base_url=fake.base_url) as recorder,
                Pinwheel(SECRET, base_url=recorder.base_url) as pinwheel,
            ):
                accounts = await pinwheel.accounts.list(limit=2).all()
                paystubs = [item async for item in pinwheel.paystubs.list(account_id, limit=10)]
                income = await pinwheel.income.get(account_id)
                await pinwheel.identity.get(account_id)
                for product in ("employment", "direct_deposit_allocations"):
                    await getattr(pinwheel, product).get(account_id)
                masked_id = recorder.masked(account_id)
    text = file.read_text(encoding="utf-8")
    values = {str(value) for reply in replies for _, value in leaves(reply.response.json())}
    kept = {word for reply in replies for item in _items(reply.value) for word in words(type(item))}
    async with CassettePlayer(file) as player, Pinwheel("another", base_url=player.base_url) as pinwheel:
        played_accounts = await pinwheel.accounts.list(limit=2).all()
        played = [item async for item in pinwheel.paystubs.list(masked_id, limit=10)]
        played_income = await pinwheel.income.get(masked_id)

    assert [] == [value for value in values - kept if len(value) > 5 and value in text and not value.isdigit()]
    assert SECRET not in text
    assert (len(accounts), len(paystubs)) == (len(played_accounts), len(played))
    assert (masked_id,) == player.account_ids
    assert masked_id in [account.id for account in played_accounts]
    assert income.compensation_unit == played_income.compensation_unit
    assert income.compensation_amount != played_income.compensation_amount
    assert {paystub.pay_date.weekday() for paystub in paystubs} == {paystub.pay_date.weekday() for paystub in played}
    moved = {after.pay_date - before.pay_date for before, after in zip(paystubs, played, strict=True)}
    assert 1 == len(moved)
    assert [] == player.unknown


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "data") else [value]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event(name: str):
    """Every event can be read after it was masked, has its name, and none of its values."""
    kind = EVENTS[name]
    original = json.loads(signed_delivery(make_event(kind), secret=SECRET).body)
    masked = Mask().event(original, kind)
    decoded = decode_event(json.dumps(masked).encode())

    assert () == decoded.problems
    assert name == decoded.event.event
    assert [] == unmasked(original, masked, words(kind) | {name})


MODELS = sorted({row.result.__name__ for row in ENDPOINTS if row.result is not None})


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name: str):
    """What the API answers can be read after it was masked, and has none of its values."""
    model = make(name)
    original = model.to_dict()
    masked = Mask().value(original, type(model))
    again = type(model).from_dict(masked)

    assert type(model) is type(again)
    assert [] == unmasked(original, masked, words(type(model)))


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ("6946a488-62ec-4856-a723-6a229149ee56", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
        ("https://s3.example.com/x?X-Amz-Signature=abc", r"https://masked\.invalid/[0-9a-f]{12}"),
        ("078-05-1120", r"\d{3}-\d\d-\d{4}"),
        ("+1 (212) 555-0100", r"\+\d \(\d{3}\) \d{3}-\d{4}"),
        ("1951-07-31", r"\d{4}-\d\d-\d\d"),
        ("2026-03-17T15:05:02.118402+00:00", r"\d{4}-\d\d-\d\dT15:05:02\.118402\+00:00"),
        ("Jane Doe", r"masked-[0-9a-f]{12}"),
        ("", ""),
        (4711, r"\d{4}"),
        (-4711, r"-\d{4}"),
        (12.5, r"\d\d\.\d+"),
        (True, "False"),
    ],
)
def test_unknown_fields(value: Any, pattern: str):
    """A value of which no class is known becomes another of its kind, the same one each time."""
    mask = Mask()
    masked = mask.value({"new": [value]}, None)["new"][0]

    assert re.fullmatch(pattern, str(masked))
    assert masked != value or value == ""
    assert masked == mask.value(value, None)


def test_odd_keys():
    """A key that does not look like the name of a field is masked, and in a mapping of the user's every key."""
    masked = Mask().value({"Jane Doe": 1, "6946a488-62ec-4856-a723-6a229149ee56": 1, "plain_name": 1}, None)
    tagged = Mask().value({"tags": {"jane_doe": "x"}}, EVENTS["account.added"])

    assert ["plain_name"] == [name for name in masked if name in {"Jane Doe", "plain_name"} or name.startswith("6946")]
    assert "jane_doe" not in json.dumps(tagged)


def test_date_of_birth():
    """A date of birth is replaced and not moved, as whoever knows another true day could move it back."""
    mask = Mask()
    identity = mask.value({"date_of_birth": "1951-07-31"}, type(make("Identity")))
    moved = mask.value({"pay_date": "1951-07-31"}, Paystub)

    assert identity["date_of_birth"] != moved["pay_date"]
    assert datetime.fromisoformat(moved["pay_date"]).weekday() == date(1951, 7, 31).weekday()


def test_keys_are_random(monkeypatch: pytest.MonkeyPatch):
    """Two cassettes mask the same name differently, so that nobody can try out names."""
    monkeypatch.undo()

    assert Mask().text("Jane Doe") != Mask().text("Jane Doe")


async def test_errors(tmp_path: Path):
    """An error is played with its type and code, which are documented, and without its text."""
    async with FakePinwheel(accounts=1, api_secret=SECRET) as fake:
        fake.script(
            Fault(status=400, json={"error": {"type": "BAD_REQUEST", "code": "Jane", "message": "Jane Doe"}}),
            operation="get_income",
        )
        async with (
            Recorder(tmp_path / "c.json", base_url=fake.base_url) as recorder,
            Pinwheel(SECRET, base_url=recorder.base_url, retry=ONE_ATTEMPT) as pinwheel,
        ):
            with pytest.raises(PinwheelError):
                await pinwheel.income.get(fake.world.account_id(0))
            with pytest.raises(NotFoundError):
                await pinwheel.accounts.get("6946a488-0000-4856-a723-6a229149ee56")
    async with (
        CassettePlayer(tmp_path / "c.json") as player,
        Pinwheel(SECRET, base_url=player.base_url, retry=ONE_ATTEMPT) as pinwheel,
    ):
        with pytest.raises(PinwheelError) as caught:
            await pinwheel.income.get(player.account_ids[0])
        with pytest.raises(NotFoundError):
            await pinwheel.accounts.get(player.account_ids[1])

    assert "BAD_REQUEST" in str(caught.value)
    assert "Jane" not in (tmp_path / "c.json").read_text()


async def test_webhooks(tmp_path: Path):
    """Webhooks are played in their order with fresh signatures, and their ids are those of the API's answers."""
    async with FakePinwheel(accounts=1, api_secret=SECRET) as fake:
        account_id = fake.world.account_id(0)
        async with (
            Recorder(tmp_path / "c.json", base_url=fake.base_url) as recorder,
            Pinwheel(SECRET, base_url=recorder.base_url) as pinwheel,
        ):
            await pinwheel.accounts.get(account_id)
            for kind in (IncomeAdded, PaystubsAdded):
                sent = signed_delivery(make_event(kind, account_id=account_id), secret=SECRET, version="2023-11-22")
                recorder.record_webhook(sent.headers, sent.body)
    player = CassettePlayer(tmp_path / "c.json")
    deliveries = player.deliveries(secret="another-secret")
    events = [parse_delivery(made.headers, made.body, secrets=["another-secret"]) for made in deliveries]

    assert [IncomeAdded, PaystubsAdded] == [type(event) for event in events]
    assert {player.account_ids[0]} == {event.account_id for event in events}
    assert {"2023-11-22"} == {made.headers["pinwheel-version"] for made in deliveries}


def test_odd_webhook(tmp_path: Path):
    """An event that no class knows is masked whole, its name, too; a body that is not JSON is refused, unseen."""
    recorder = Recorder(tmp_path / "c.json")
    recorder.record_webhook({}, b'{"event": "jane.doe", "payload": {"name": "Jane"}}')
    with pytest.raises(ValueError, match=r"^the body of a webhook must be JSON$"):
        recorder.record_webhook({}, b"Jane")

    assert "ane" not in json.dumps(recorder._content.webhooks)


async def get(url: str) -> tuple[int, Any]:
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_order_of_answers(tmp_path: Path, serve: Any):
    """The same request gets its answers in their order, and the last one from then on; another query falls back."""
    site = await serve(*[web.json_response({"data": [{"a": number}]}) for number in (11, 22, 33)])
    async with Recorder(tmp_path / "c.json", base_url=site.base_url) as recorder:
        for query in ("?limit=1", "?limit=1", "?limit=2"):
            await get(f"{recorder.base_url}/v1/accounts{query}")
    async with CassettePlayer(tmp_path / "c.json") as player:
        url = f"{player.base_url}/v1/accounts"
        found = [(await get(url + query))[1]["data"][0]["a"] for query in ("?limit=1",) * 3 + ("?limit=2", "", "")]
        unknown, _ = await get(f"{player.base_url}/v1/employers")

    first, second, third = dict.fromkeys(found)
    assert [first, second, second, third, first, second] == found
    assert (501, ["GET /v1/employers"]) == (unknown, player.unknown)


async def test_paths_and_queries(tmp_path: Path, serve: Any):
    """Ids in paths, and values in queries, are masked as they are in answers, also in paths that nobody documents."""
    site = await serve(web.json_response({}))
    async with Recorder(tmp_path / "c.json", base_url=site.base_url) as recorder:
        await get(f"{recorder.base_url}/v1/accounts/jane%20doe/paystubs?from_pay_date=2026-01-05&cursor=jane&limit=7")
        await get(f"{recorder.base_url}/v9/Jane/user_42/new?who=jane")
        masked = recorder.masked("jane doe"), recorder.masked("jane")
    known, unknown = json.loads((tmp_path / "c.json").read_text())["exchanges"]

    assert f"/v1/accounts/{masked[0]}/paystubs" == known["path"]
    assert {"cursor": masked[1], "limit": "7"}.items() <= dict(known["query"]).items()
    assert date.fromisoformat(dict(known["query"])["from_pay_date"]).weekday() == 0
    assert re.fullmatch(r"/v9/masked-\w{12}/masked-\w{12}/new", unknown["path"])
    assert "ane" not in json.dumps([known, unknown])


async def test_nothing_half_way(tmp_path: Path, unused_tcp_port: int):
    """A block that fails leaves the old cassette; a server that does not answer is a 502, which is not kept."""
    (tmp_path / "c.json").write_text("old")

    async def fail() -> None:
        async with Recorder(tmp_path / "c.json"):
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    kept = (tmp_path / "c.json").read_text()
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    async with Recorder(tmp_path / "c.json", base_url=nobody) as recorder, ClientSession() as session:
        status = (await session.get(f"{recorder.base_url}/v1/accounts")).status

    assert ("old", 502) == (kept, status)
    assert [] == json.loads((tmp_path / "c.json").read_text())["exchanges"]


def test_arguments(tmp_path: Path):
    """Plain http to another machine and a file that is no cassette are refused; outside of a block there is no URL."""
    with pytest.raises(ConfigurationError, match="must be https"):
        Recorder(tmp_path / "c.json", base_url="http://example.com")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match="no cassette"):
        CassettePlayer(tmp_path / "c.json")
    with pytest.raises(RuntimeError, match="async with"):
        _ = Recorder(tmp_path / "c.json").base_url
