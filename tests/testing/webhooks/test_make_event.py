"""What the fake's events look like: as the samples of our record do."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async.events import EVENTS, AccountAdded, IncomeAdded, JobEvent, PaystubsAdded, UnknownEvent, decode_event
from pinwheel_async.models import Income, Paystub
from pinwheel_async.testing import make, make_event
from pinwheel_async.testing._webhooks.body import OutgoingEvent, outgoing_event
from pinwheel_async.testing._webhooks.payloads import Subject, payload_of
from pinwheel_async.testing._world.people import START
from pinwheel_async.testing._world.world import World

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
VARIANTS = sorted((SAMPLES / "variants").glob("*.json"))


def sample(name: str) -> dict[str, Any]:
    """A sample as it stands in the record."""
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def shape(value: Any, other: Any) -> Any:
    """Keys in their order, and the first item of lists that are empty in neither."""
    if isinstance(value, dict) and isinstance(other, dict):
        return [(name, shape(member, other.get(name))) for name, member in value.items()]
    if isinstance(value, list) and isinstance(other, list):
        return [shape(value[0], other[0])] if value and other else []
    return None


def sent(event) -> dict[str, Any]:
    """An event as it goes over the wire."""
    return json.loads(outgoing_event(event).body("2025-07-08"))


@pytest.mark.parametrize("name", EVENTS)
def test_shape(name):
    """Every event has the keys of its sample, in their order, all the way down."""
    theirs, ours = sample(name), sent(make_event(EVENTS[name]))

    assert shape(theirs, ours) == shape(ours, theirs)


@pytest.mark.parametrize("name", EVENTS)
def test_types(name):
    """Every value is of the JSON type that the sample has, or null."""
    theirs, ours = leaves(sample(name)), leaves(sent(make_event(EVENTS[name])))

    assert not [at for at, kind in ours.items() if kind != theirs.get(at, kind) and "null" not in {kind, theirs[at]}]


def leaves(value: Any, at: str = "") -> dict[str, str]:
    """The types of all values by their places; of lists only the first item."""
    if isinstance(value, dict):
        return {place: kind for name, member in value.items() for place, kind in leaves(member, f"{at}.{name}").items()}
    if isinstance(value, list):
        return leaves(value[0], f"{at}[]") if value else {}
    return {at: "null" if value is None else type(value).__name__}


@pytest.mark.parametrize("name", EVENTS)
def test_round_trip(name):
    """An event that is sent arrives as it was, and nothing in it has to be forgiven."""
    made = make_event(EVENTS[name], 2)
    found = decode_event(outgoing_event(made).body("2025-07-08"), version="2025-07-08")

    assert (made, (), ()) == (found.event, found.problems, found.drift)


@pytest.mark.parametrize("file", VARIANTS, ids=lambda file: file.stem)
def test_sends_what_it_reads(file):
    """Whatever can be read can be sent, and means the same."""
    read = decode_event(file.read_bytes(), version="2025-07-08").event
    again = decode_event(outgoing_event(read).body("2025-07-08"), version="2025-07-08").event
    if getattr(read, "params", 1) is None:  # the API sends an empty object
        assert again.params is not None
    else:
        assert read == again


@pytest.mark.parametrize("kind", [*EVENTS.values(), UnknownEvent], ids=lambda kind: kind.__name__)
def test_same_seed(kind):
    """The same seed makes the same event, and `make` the same as `make_event`."""
    assert make_event(kind, 5) == make_event(kind, 5) == make(kind, 5)


def test_other_seed():
    """Another seed makes an event about another account."""
    assert make_event(IncomeAdded, 1).account_id != make_event(IncomeAdded, 2).account_id


def test_one_account():
    """Events and models of one seed belong together."""
    event = make_event(PaystubsAdded, 4)

    assert event.account_id == make(Income, 4).account_id
    assert make(Paystub, 4).id == event.added[0].id


def test_event_ids_differ():
    """No two classes make the same event id."""
    assert len(EVENTS) == len({make_event(kind).event_id for kind in EVENTS.values()})


def test_overrides():
    """Fields can be given."""
    event = make_event(PaystubsAdded, outcome="error", account_id="mine")

    assert ("error", "mine") == (event.outcome, event.account_id)


def test_unknown_override():
    """A field that the event does not have is refused."""
    with pytest.raises(TypeError):
        make_event(PaystubsAdded, colour="red")


def test_base_class():
    """A class of several events makes none."""
    with pytest.raises(TypeError, match="JobEvent"):
        make_event(JobEvent)


def test_unknown_event():
    """An event that nobody knows can be made, too."""
    event = make_event(UnknownEvent)

    assert "some_product.changed" == event.event
    assert event.payload["account_id"]


def test_nulls_are_sent():
    """Keys that the API always sends are sent as null, others are not sent."""
    payload = sent(make_event(IncomeAdded, link_token_id=None, params=None, customer_id=None))["payload"]

    assert (None, {}) == (payload["link_token_id"], payload["params"])
    assert "customer_id" not in payload


def test_optional_keys_are_sent():
    """A key that is not usual is sent where there is something to say."""
    payload = sent(make_event(AccountAdded, customer_id="cust-1", reserved_platform_id="p"))["payload"]

    assert ("cust-1", "p") == (payload["customer_id"], payload["reserved_platform_id"])


def test_banking_platform():
    """The customer of an account stands in every event about it."""
    world = World(accounts=1, seed=0, api_secret="")
    account_id = world.account_id(0)
    world.edit_account(account_id, customer_id="cust-1")
    subject = Subject(world=world, account_id=account_id, at=START, job_id="job")

    kinds = [name for name in EVENTS if not name.startswith("company_connect.")]
    assert not [name for name in kinds if payload_of(name, subject).get("customer_id") != "cust-1"]


def test_values_of_python():
    """Days, moments, decimals and models may stand in a payload."""
    values = {
        "day": date(2026, 1, 2),
        "moment": START,
        "whole": Decimal(5),
        "part": Decimal("0.5"),
        "model": make_event(PaystubsAdded).added[0],
    }
    found = json.loads(OutgoingEvent("id", "name", values).body("2025-07-08"))["payload"]

    assert ("2026-01-02", START) == (found["day"], datetime.fromisoformat(found["moment"]))
    assert (5, 0.5, "id") == (found["whole"], found["part"], next(iter(found["model"])))


def test_values_of_nobody():
    """What JSON has no word for is refused, without being shown."""
    with pytest.raises(TypeError, match="cannot hold a set"):
        OutgoingEvent("id", "name", {"x": {"secret"}}).body("2025-07-08")


@pytest.mark.parametrize(
    ("params", "amount"),
    [
        ({"action": "partial_switch", "allocation": {"type": "amount", "value": 125}}, {"amount": 12_500}),
        ({"action": "full_switch", "allocation": {"type": "remainder", "value": None}}, {"amount": None}),
        ({}, {"amount": None}),
    ],
)
def test_older_switch(params, amount):
    """Before 2023-11-22 a switch had an amount in cents."""
    event = OutgoingEvent("id", "direct_deposit_switch.added", {"params": params})

    assert amount == json.loads(event.body("2023-07-18"))["payload"]["params"]
    assert params == json.loads(event.body("2023-11-22"))["payload"]["params"]


def test_style():
    """The body is Python's default JSON in one line of ASCII, `event_id` first."""
    event = make_event(AccountAdded, end_user_id="Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}")
    body = outgoing_event(event).body("2025-07-08")

    assert body.startswith(b'{"event_id": "')
    assert json.dumps(json.loads(body)).encode() == body
    assert b"Zo\\u00eb" in body
