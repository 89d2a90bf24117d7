"""The made-up world: generated, then changed."""

import re
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from pinwheel_async import Pinwheel
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.testing._world.records import RefusedError
from pinwheel_async.testing._world.world import World

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    """Sixty accounts, with a clock that stands still."""
    made = World(accounts=60, seed=3, api_secret="nobody's")
    made.set_clock(NOON)
    return made


def everything(world: World) -> bytes:
    """All records of a world."""
    products = [world.records(account_id, product) for account_id in world.account_ids() for product in PRODUCTS]
    return msgspec.json.encode([products, [entry.body.decode() for entry in world.accounts(None)]])


def account(world: World, account_id: str) -> dict:
    """The account as the API would show it."""
    return msgspec.json.decode(world.entries(world.index(account_id), "account")[0].body)


def with_some(world: World, product: str) -> str:
    """An account that has at least three items of a product."""
    return next(account_id for account_id in world.account_ids() if len(world.records(account_id, product)) > 2)


def test_same_seed():
    """The same seed gives the same bytes."""
    assert everything(World(accounts=60, seed=3, api_secret="a")) == everything(
        World(accounts=60, seed=3, api_secret="b")
    )


def test_other_seed():
    """Another seed gives another world."""
    assert everything(World(accounts=5, seed=3, api_secret="a")) != everything(
        World(accounts=5, seed=4, api_secret="a")
    )


def test_size_does_not_matter():
    """An account is the same in a small world and in a large one."""
    small, large = (World(accounts=count, seed=3, api_secret="a") for count in (2, 1_000_000))

    assert small.records(small.account_id(1), "paystubs") == large.records(large.account_id(1), "paystubs")


def test_nothing_is_made_before_it_is_read():
    """A large world holds nothing until somebody looks."""
    world = World(accounts=1_000_000, seed=3, api_secret="a")

    assert 0 == len(world._entries)


def test_kept_lists_are_bounded(monkeypatch):
    """However much is read, only so many lists are kept."""
    monkeypatch.setattr("pinwheel_async.testing._world.world._KEPT_LISTS", 10)
    world = World(accounts=60, seed=3, api_secret="a")
    for account_id in world.account_ids():
        world.records(account_id, "income")

    assert 10 == len(world._entries)


def test_paystubs_add_up(world):
    """The lines of every paystub add up to its totals, and the totals to each other."""
    stubs = [stub for account_id in world.account_ids() for stub in world.records(account_id, "paystubs")]

    assert len(stubs) > 500
    for stub in stubs:
        assert stub["gross_pay_amount"] == sum(line["amount"] for line in stub["earnings"])
        assert stub["total_taxes"] == sum(line["amount"] for line in stub["taxes"])
        assert stub["total_deductions"] == sum(line["amount"] for line in stub["deductions"])
        assert stub["net_pay_amount"] == stub["gross_pay_amount"] - stub["total_taxes"] - stub["total_deductions"]
        assert stub["check_amount"] == stub["net_pay_amount"] + stub["total_reimbursements"]


def test_counts_vary(world):
    """Accounts have none, few, and more than a page of paystubs."""
    counts = [len(world.records(account_id, "paystubs")) for account_id in world.account_ids()]

    assert 0 == min(counts)
    assert 25 < max(counts) <= 60
    assert any(0 < count < 25 for count in counts)


@pytest.mark.parametrize(
    ("product", "key"), [("paystubs", "pay_date"), ("shifts", "start_date"), ("tax_forms", "year")]
)
def test_newest_first(world, product, key):
    """Lists stand newest first."""
    values = [record[key] for record in world.records(with_some(world, product), product)]

    assert sorted(values, reverse=True) == values


def test_nothing_real(world):
    """Nothing in the world could belong to anybody."""
    text = everything(world).decode()

    assert all(number.startswith("+1202555") for number in re.findall(r'"value":"([^"]+)"', text))
    assert {"example.com"} == set(re.findall(r"@([a-z.]+)", text))
    assert all(int(digits) < 100 for digits in re.findall(r'"last_four_ssn":"(\d+)"', text))
    assert {"000-00-0000"} == set(re.findall(r'"box_a":"([^"]+)"', text))
    assert all("xample" in name or "xámple" in name for name in re.findall(r'"full_name":"([^"]+)"', text))


def test_times_are_in_order(world):
    """Nothing was fetched before its account existed, or before the day it is about."""
    for account_id in world.account_ids():
        created = datetime.fromisoformat(account(world, account_id)["created_at"])
        for stub in world.records(account_id, "paystubs"):
            fetched = datetime.fromisoformat(stub["created_at"])
            assert created < fetched
            assert date.fromisoformat(stub["pay_date"]) <= fetched.date()


@pytest.mark.parametrize("product", PRODUCTS)
def test_touch_changes_data(world, product):
    """To touch a product changes what it says, and each time again."""
    account_id = world.account_id(0)
    said = [world.records(account_id, product)]
    for _ in range(2):
        world.touch(account_id, product)
        said.append(world.records(account_id, product))

    assert 3 == len({msgspec.json.encode(records) for records in said})


@pytest.mark.parametrize("product", [product for product in PRODUCTS if product != "tax_forms"])
def test_touch_moves_data_updated_at(world, product):
    """To touch a product moves its `data_updated_at`, even twice in one instant, and no other."""
    account_id = world.account_id(0)
    before = account(world, account_id)["data_updated_at"]
    world.touch(account_id, product)
    between = account(world, account_id)["data_updated_at"]
    world.touch(account_id, product)
    after = account(world, account_id)["data_updated_at"]

    assert before[product] < between[product] < after[product]
    assert {product} == {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("product", ["paystubs", "shifts"])
def test_touch_adds_one_in_front(world, product):
    """A touched list has one newer item, and the others as they were."""
    account_id = with_some(world, product)
    before = world.records(account_id, product)
    world.touch(account_id, product)
    world.touch(account_id, product)

    after = world.records(account_id, product)
    assert before == after[2:]
    assert after[0]["created_at"] > after[1]["created_at"] > before[0]["created_at"]


@pytest.mark.parametrize("product", ["paystubs", "shifts"])
def test_delete(world, product):
    """A deleted item is gone, the others stay, and `data_updated_at` moves."""
    account_id = with_some(world, product)
    before, updated_at = world.records(account_id, product), account(world, account_id)["data_updated_at"][product]
    world.delete(account_id, product, before[1]["id"])

    assert [before[0], *before[2:]] == world.records(account_id, product)
    assert updated_at < account(world, account_id)["data_updated_at"][product]


def test_delete_unknown_paystub(world):
    """A paystub that is not there cannot be deleted."""
    with pytest.raises(KeyError):
        world.delete(world.account_id(0), "paystubs", "nothing")


def test_add_account(world):
    """An added account is the last one, belongs to whom it was given, and has data."""
    added = world.add_account(end_user_id="a/b c", connected=False)

    assert added == list(world.account_ids())[-1]
    assert ("a/b c", False) == (account(world, added)["end_user_id"], account(world, added)["connected"])
    assert [world.index(added)] == world.accounts_of("a/b c")
    assert world.records(added, "income")


def test_edit_account(world):
    """An edited account shows the edit."""
    world.edit_account(world.account_id(2), monitoring_status="degraded")

    assert "degraded" == account(world, world.account_id(2))["monitoring_status"]


def test_misspelt_edit(world):
    """A field that no account has is refused."""
    with pytest.raises(TypeError, match="conected"):
        world.edit_account(world.account_id(2), conected=False)


def test_second_account(world):
    """Some end users have two accounts."""
    assert [8, 9] == world.accounts_of("end_user_000008")


@pytest.mark.parametrize("name", ["end_user_000009", "end_user_8", "end_user_99999999", "nobody", ""])
def test_unknown_end_user(world, name):
    """Whoever owns no account is not found."""
    with pytest.raises(RefusedError):
        world.accounts_of(name)


def test_naive_clock(world):
    """The clock is set to an aware moment only."""
    with pytest.raises(ValueError, match="aware"):
        world.set_clock(datetime(2026, 1, 1))  # noqa: DTZ001  # that is the mistake


def test_real_clock(world):
    """Without a set moment the clock goes."""
    world.set_clock(None)

    assert world.now() > NOON


def test_repr(world):
    """The repr says how many accounts there are, and nothing of them."""
    assert "<World of 60 accounts>" == repr(world)
    assert 60 == world.account_count


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2026, 3, 17), date(2031, 1, 1)])
async def test_data_ends_today(today):
    """The data ends in the week before the day on which the fake begins, nothing is from later, and tokens follow."""
    async with (
        FakePinwheel(accounts=40, today=today) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        world = fake.world
        stubs = [stub for account_id in world.account_ids() for stub in world.records(account_id, "paystubs")]
        recent = [stub for stub in stubs if date.fromisoformat(stub["pay_date"]) >= today - timedelta(days=90)]
        token = await pinwheel.link_tokens.create(
            org_name="Example", solution="Verify", features=["paystubs"], end_user_id="user_1"
        )
        newest = date.fromisoformat(max(stub["pay_date"] for stub in stubs))

    assert today - timedelta(days=7) <= newest < today
    assert len(recent) > 100
    assert max(stub["created_at"] for stub in stubs) <= today.isoformat() + "T12"
    assert 4 == newest.weekday()
    assert token.expires == datetime(today.year, today.month, today.day, 13, tzinfo=UTC)


async def test_data_ends_now():
    """Without a day the data ends today, and the same day gives the same data."""
    async with FakePinwheel(accounts=5) as fake:
        today = fake.clock.now().date()
    async with FakePinwheel(accounts=5, today=today) as again:
        assert everything(fake.world) == everything(again.world)
