"""The converter: every model and event to plain values and back, exactly, and errors that show no value."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from pinwheel_async import errors, models
from pinwheel_async._core import page
from pinwheel_async._core.converter import Serializable, encode, make_converter
from pinwheel_async.errors import DecodeError, NotFoundError, PinwheelError, TransportError
from pinwheel_async.events import EVENTS, AccountEvent, Event, PaystubsAdded, ShiftsAdded, UnknownEvent
from pinwheel_async.link import LINK_EVENTS, LinkEvent, LinkExit, parse_link_event
from pinwheel_async.models import Account, Employment, Identity, Paystub, Platform, Shift
from pinwheel_async.snapshot import Snapshot
from pinwheel_async.testing import make, make_account, make_event, make_paystub, make_shift

PLANTED = "planted-4711"
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
MODELS = sorted(
    (kind for kind in (getattr(models, name) for name in models.__all__) if isinstance(kind, type) and attrs.has(kind)),
    key=lambda kind: kind.__name__,
)
METAS = [page.ListMeta, page.PaginationMeta, page.RefreshablePaginationMeta, page.FreshnessPaginationMeta]


def through_json(value: Any) -> Any:
    """What a store gives back that was given *value* as JSON."""
    return json.loads(json.dumps(value))


@attrs.frozen
class Cached:
    """A class of a user, with models in it."""

    key: str
    paystub: Paystub
    shifts: list[Shift]
    event: Event | None = None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", MODELS, ids=lambda kind: kind.__name__)
def test_model_round_trip(model, seed):
    """A model is equal after its way through plain values, and after its way through JSON text."""
    made = make(model, seed)

    assert made == model.from_dict(through_json(made.to_dict()))
    assert made == model.from_json(made.to_json())
    assert made == model.from_json(made.to_json().encode())


@pytest.mark.parametrize("model", MODELS, ids=lambda kind: kind.__name__)
def test_plain_keys_are_those_of_the_wire(model):
    """Every field has its key, under the name that the API uses."""
    wanted = {field.metadata.get("wire", field.name) for field in attrs.fields(model)}

    assert wanted == make(model, 1).to_dict().keys()


@pytest.mark.parametrize("name", EVENTS)
def test_event_round_trip(name):
    """An event becomes a delivery's JSON and comes back as its own class, whichever base class is asked for."""
    event = make_event(EVENTS[name], 1)
    document = through_json(event.to_dict())

    assert {"event_id", "event", "payload"} == document.keys()
    assert event == Event.from_dict(document) == type(event).from_json(event.to_json())


def test_unknown_event_round_trip():
    """An event that nobody knows keeps name and payload."""
    event = make_event(UnknownEvent, payload={"a": [1, None, {"b": 1.5}]})

    assert event == Event.from_dict(through_json(event.to_dict()))


def test_event_without_name():
    """An event made by hand, without its name, has the name of its class."""
    event = attrs.evolve(make_event(PaystubsAdded), event="")

    assert "paystubs.added" == event.to_dict()["event"]


def test_extra_of_an_event_is_payload():
    """What an event says beyond its documentation stands in the payload, and is extra again afterwards."""
    kind = next(kind for kind in EVENTS.values() if "extra" in attrs.fields_dict(kind))
    event = make_event(kind, extra={"a_key_of_tomorrow": 1})
    document = event.to_dict()

    assert "extra" not in document["payload"]
    assert 1 == document["payload"]["a_key_of_tomorrow"]
    assert event == Event.from_dict(document)


@pytest.mark.parametrize(
    ("kind", "document", "problem"),
    [
        (ShiftsAdded, {"event": "paystubs.added", "payload": {}}, "(body): not an event of the class ShiftsAdded"),
        (AccountEvent, {"event": "of.tomorrow", "payload": {}}, "(body): not an event of the class AccountEvent"),
        (Event, {"payload": {}}, "(body): an event without its name"),
        (Event, {"event": "paystubs.added", "payload": PLANTED}, "payload: not an object"),
        (Event, PLANTED, "(body): not an object"),
        (LinkExit, {"event": "login"}, "(body): not a Link event of the class LinkExit"),
        (LinkEvent, {"payload": {}}, "(body): a Link event without its name"),
        (Paystub, {"pay_date": PLANTED, "id": 3}, "id: not text; pay_date: not a date"),
        (Paystub, {"id": "i", "earnings": [{"name": "n"}, {"name": 3}]}, "earnings[1].name: not text"),
    ],
)
def test_problems_name_the_place(kind, document, problem):
    """What cannot be read is a DecodeError with its path, and without its value."""
    with pytest.raises(DecodeError) as caught:
        kind.from_dict(document)

    assert f"{kind.__name__} is not of the documented shape: {problem}" == str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("{", "JSON that is cut off"),
        ("nope", "not JSON, at byte 4"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff", "not JSON, at byte 0"),
        ('{"id": "\ud83d', "JSON that is cut off"),
        ('{"id": 1e999999999999999999999}', "a number beyond all bounds"),
    ],
)
def test_no_json(text, problem):
    """Text that is no JSON is a DecodeError that says why."""
    with pytest.raises(DecodeError) as caught:
        Paystub.from_json(text)

    assert (f"(body): {problem}",) == caught.value.paths


def test_errors_hold_no_value():
    """Neither text nor cause nor context of the error shows what was given."""
    with pytest.raises(DecodeError) as caught:
        Paystub.from_json(f'{{"id": "{PLANTED}"')

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert PLANTED not in repr(caught.value)


@pytest.mark.parametrize("name", LINK_EVENTS)
def test_link_event_round_trip(name):
    """A Link event comes back as its own class."""
    event = make(LINK_EVENTS[name], 1, extra={"a_key_of_tomorrow": [1]})

    assert event == LinkEvent.from_dict(through_json(event.to_dict()))
    assert event == type(event).from_json(event.to_json())


def test_unknown_link_event_round_trip():
    """A Link event that nobody knows keeps name and payload."""
    event = parse_link_event("of_tomorrow", [1, 2])

    assert event == LinkEvent.from_dict(through_json(event.to_dict()))


@pytest.mark.parametrize("meta", METAS, ids=lambda kind: kind.__name__)
def test_page_round_trip(meta):
    """A page comes back with its items and with the class of its meta."""
    found = page.Page(
        data=(make_paystub(1), make_paystub(2)),
        meta=meta(count=2, **({} if meta is page.ListMeta else {"next_cursor": "c"})),
    )
    converter = make_converter()

    assert found == converter.structure(through_json(converter.unstructure(found)), page.Page[Paystub])


def test_page_without_argument():
    """A page does not know the class of its items: the error says how to name it."""
    with pytest.raises(TypeError, match=r"Page\[Paystub\]"):
        page.Page.from_dict({"data": [], "meta": {}})


def test_snapshot_round_trip():
    """A snapshot comes back; an error in it keeps class, text and facts, and nothing the server wrote for humans."""
    missing = NotFoundError(
        endpoint="GET /v1/x", status=404, code="RECORD_NOT_FOUND", server_message=PLANTED, request_id=REQUEST_ID
    )
    broken = TransportError(endpoint="GET /v1/y", reason="OSError", attempts=3, sent=True)
    snapshot = Snapshot(
        account_id="a", account=make_account(1), paystubs=(make_paystub(1),), income=missing, identity=broken
    )
    document = snapshot.to_dict()
    again = Snapshot.from_dict(through_json(document))

    assert PLANTED not in json.dumps(document)
    assert attrs.evolve(snapshot, income=None, identity=None) == attrs.evolve(again, income=None, identity=None)
    for error, found in ((missing, again.income), (broken, again.identity)):
        assert (type(error), str(error)) == (type(found), str(found))
    assert ("RECORD_NOT_FOUND", 404, REQUEST_ID, None, ()) == (
        again.income.code,
        again.income.status,
        again.income.request_id,
        again.income.server_message,
        again.income.details,
    )
    assert ("OSError", 3, True) == (again.identity.reason, again.identity.attempts, again.identity.sent)


@pytest.mark.parametrize("name", ["os", "SyncError", "ErrorDetail", "ExceptionGroup", "NoSuchError"])
def test_error_of_an_unknown_class(name):
    """An error of a class that is none of ours, or that cannot be made of facts, is a `PinwheelError`."""
    found = make_converter().structure({"error": name, "message": "text"}, PinwheelError)

    assert (PinwheelError, "text") == (type(found), str(found))


def test_classes_of_a_user():
    """Models and events inside a user's own class are written and read as exactly as elsewhere."""
    cached = Cached("k", make_paystub(1), [make_shift(1), make_shift(2)], make_event(PaystubsAdded))
    converter = make_converter()
    document = through_json(converter.unstructure(cached))

    assert cached == converter.structure(document, Cached)

    document["paystub"]["net_pay_amount"] = PLANTED
    with pytest.raises(DecodeError, match=r"^Cached is not of the documented shape: net_pay_amount: not a whole"):
        converter.structure(document, Cached)


@pytest.mark.parametrize("value", [None, 3, ["x"]])
def test_text_is_never_made_of_something_else(value):
    """Text of a user's own class is text: null is not "None", and a number is not its digits."""
    document = {"key": value, "paystub": make_paystub(1).to_dict(), "shifts": []}
    with pytest.raises(DecodeError, match="not text"):
        make_converter().structure(document, Cached)


def test_problem_wins_over_what_it_caused():
    """A class that cannot be built of what was refused does not hide why."""

    @attrs.frozen
    class Picky:
        size: int = attrs.field(validator=attrs.validators.gt(0))

    with pytest.raises(DecodeError, match="not a whole number"):
        make_converter().structure({"size": "3.5"}, Picky)
    with pytest.raises(ValueError, match="size"):
        make_converter().structure({"size": -3}, Picky)


def test_hooks_of_a_user():
    """Hooks that a user registers apply inside models, and to that converter only."""
    converter = make_converter()
    converter.register_unstructure_hook(date, lambda day: day.strftime("%d.%m.%Y"))
    converter.register_structure_hook(
        date, lambda text, _: datetime.strptime(text, "%d.%m.%Y").replace(tzinfo=UTC).date()
    )
    paystub = make_paystub(1, pay_date=date(2026, 3, 13))
    document = converter.unstructure(paystub)

    assert "13.03.2026" == document["pay_date"]
    assert paystub == converter.structure(document, Paystub)
    assert "2026-03-13" == make_converter().unstructure(paystub)["pay_date"] == paystub.to_dict()["pay_date"]


@pytest.mark.parametrize("missing", ["null", "absent"])
def test_null_where_never_null(missing):
    """A null that the documentation rules out is None, written as null, and None again."""
    document = make(Employment, 1).to_dict()
    document |= {"status": None} if missing == "null" else {}
    if missing == "absent":
        del document["status"]
    employment = Employment.from_dict(document)

    assert employment.status is None
    assert employment.to_dict()["status"] is None
    assert employment == Employment.from_dict(employment.to_dict())


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Account) if field.name != "id"])
def test_any_field_may_be_none(field):
    """Whatever field is None can be written, because a server may have said null for it."""
    account = attrs.evolve(make_account(1), **{field: None})

    assert account.to_dict()[field] is None
    assert encode(account)


def test_moments_and_days():
    """A moment keeps its offset, and is written with Z for UTC; a day is a day."""
    shift = Shift.from_dict(
        make_shift(1).to_dict()
        | {
            "created_at": "2026-03-17T15:05:03.000001+00:00",
            "timestamps": [{"from": "2026-03-17T08:00:00-05:00", "to": "2026-03-17T16:00:00-05:00"}],
        }
    )
    document = shift.to_dict()

    assert "2026-03-17T15:05:03.000001Z" == document["created_at"]
    assert [{"from": "2026-03-17T08:00:00-05:00", "to": "2026-03-17T16:00:00-05:00"}] == document["timestamps"]


@given(st.decimals(allow_nan=False, allow_infinity=False, max_value=10**18, min_value=-(10**18)))
def test_decimals_are_exact(number):
    """A decimal is the same number after plain values and after JSON, however many digits it has."""
    platform = attrs.evolve(make(Platform, 1), min_amount=number)

    assert number == Platform.from_dict(through_json(platform.to_dict())).min_amount
    assert number == Platform.from_json(platform.to_json()).min_amount


@pytest.mark.parametrize(
    ("number", "plain"),
    [
        ("12", 12),
        ("12.00", 12),
        ("-0.5", -0.5),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("9007199254740993", "9007199254740993"),
    ],
)
def test_plain_decimals(number, plain):
    """A decimal is a number where JSON's readers keep it, and text where a float would round it."""
    platform = attrs.evolve(make(Platform, 1), min_amount=Decimal(number))

    found = platform.to_dict()["min_amount"]
    assert (plain, type(plain)) == (found, type(found))
    assert f'"min_amount":{number}' in platform.to_json()


def test_unknown_fields_and_enum_values():
    """Fields of tomorrow are ignored, and enum values of tomorrow are kept."""
    document = make(Identity, 1).to_dict()
    paystub = make_paystub(1).to_dict() | {"a_field_of_tomorrow": 1, "currency": "XTS"}

    assert Identity.from_dict(document | {"x": [1]}) == Identity.from_dict(document)
    assert "XTS" == Paystub.from_dict(paystub).currency


def test_everything_public_is_serializable():
    """Every model and event has `to_dict`, and none has a field of such a name."""
    kinds = [*MODELS, *EVENTS.values(), *LINK_EVENTS.values(), Snapshot, page.Page]
    names = {"to_dict", "to_json", "from_dict", "from_json"}

    assert all(issubclass(kind, Serializable) for kind in kinds)
    assert not [kind for kind in kinds if names & {field.name for field in attrs.fields(kind)}]


def test_mappings_are_copied():
    """Plain values share no dict with the model."""
    event = make_event(UnknownEvent, payload={"a": {"b": 1}})
    document: Mapping[str, Any] = event.to_dict()
    document["payload"]["a"]["b"] = 2

    assert {"a": {"b": 1}} == event.payload


@pytest.mark.parametrize("name", [name for name in vars(errors) if name.endswith("Error") and name != "SyncError"])
def test_an_error_has_all_its_attributes(name):
    """An error that was read back has every attribute that its class documents, None where nothing was written."""
    kind = getattr(errors, name)
    found = make_converter().structure({"error": name, "message": "text"}, PinwheelError)
    documented = re.findall(r"^        (\w+): ", next(base.__doc__ or "" for base in kind.__mro__), re.MULTILINE)

    assert kind is type(found)
    assert [] == [attribute for attribute in documented if not hasattr(found, attribute)]
