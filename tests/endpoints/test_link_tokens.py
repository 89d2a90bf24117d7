"""Link token requests: which form they take, and everything that is refused before it is sent."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import get_args

import pytest

from pinwheel_async.endpoints import LinkTokenEndpoints
from pinwheel_async.errors import RequestError
from pinwheel_async.models.enums import JobType
from pinwheel_async.models.link_token import (
    LinkTokenAllocation,
    LinkTokenBankAccount,
    LinkTokenCard,
    LinkTokenEndUser,
    PlatformMatching,
)

NEW = {"org_name": "Acme", "solution": "Verify", "features": ["income"], "end_user_id": "u"}
OLD = {"org_name": "Acme", "required_jobs": ["income"], "end_user_id": "u"}
SWITCH_NEW = {**NEW, "features": ["direct_deposit_switch"]}
SWITCH_OLD = {**OLD, "required_jobs": ["direct_deposit_switch"]}
OLDER = "required_jobs (or solution and features, the form of 2025-07-08)"
NEWER = "a newer value goes through with_options"
LIST = "must be a list, such as [value], even for one value"
SOLUTIONS = "Verify, Bill Switch, Bill Manager, Paycheck Viewer, Switch Kit, Deposit Switch"
DIGITS = "must be text of {} digits, without blanks or dashes"


def matching(**data):
    return LinkTokenEndUser(platform_matching=PlatformMatching(**data))


def target(**account):
    return LinkTokenAllocation(targets=(LinkTokenBankAccount(**account),))


def card(**fields):
    good = {
        "card_name": "Card",
        "card_number": "12345678",
        "expiration_date": date(2030, 1, 1),
        "name_on_card": "Ann",
        "card_zip_code": "12345",
    }
    return LinkTokenCard(**{**good, **fields})


async def refused(caller, arguments):
    """The problems that a request is refused for."""
    with pytest.raises(RequestError) as caught:
        await LinkTokenEndpoints(caller).create(**arguments)
    assert caller.sent == []
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        (NEW, "2025-07-08"),
        (OLD, "2023-11-22"),
        ({**NEW, "required_jobs": None}, "2025-07-08"),
        ({**OLD, "solution": None, "features": None, "cards": None}, "2023-11-22"),
        ({"org_name": "Acme", "account_id": "a"}, "2023-11-22"),
        ({"org_name": "Acme", "account_id": "a", "solution": "Verify"}, "2025-07-08"),
    ],
)
async def test_the_form_decides_the_version(arguments, version, caller):
    """`solution` means the form of 2025-07-08; without it, it is that of 2023-11-22."""
    await LinkTokenEndpoints(caller).create(**arguments)

    assert version == caller.request.version


@pytest.mark.parametrize(
    "arguments",
    [
        {**NEW, "org_name": "Abc"},
        {**NEW, "org_name": "A" * 30},
        {**NEW, "end_user_id": "u" * 255},
        {**NEW, "end_user_id": f"  {'u' * 255}\n"},
        {**NEW, "disable_direct_deposit_splitting": True},
        {**OLD, "disable_direct_deposit_splitting": True},
        {**SWITCH_NEW, "allocation": {"type": "amount", "value": 100, "min_amount": Decimal("0.5")}},
        {**NEW, "features": ("income",)},
        {**NEW, "tags": {}},
        {**NEW, "skip_intro_screen": True, "end_user": matching(first_name="Ann")},
        {**OLD, "skip_intro_screen": True, "end_user": LinkTokenEndUser()},
        {**OLD, "skip_intro_screen": True},
        {**OLD, "end_user": matching(first_name="Ann")},
        {**NEW, "end_user": matching(social_security_number="123456789", email="a@b.example")},
        {
            **NEW,
            "end_user": matching(
                social_security_number_last_four="1234",
                mobile_phone_number="1234567890",
                home_address_zip_code="00000",
            ),
        },
        {**NEW, "reseller_customer_id": "r" * 40},
        {**NEW, "cards": []},
        {**NEW, "cards": [card(card_name="Ab", cvc="123"), card(card_name="C" * 30, cvc="1234")]},
        {**NEW, "cards": [card(card_number="1" * 19)]},
        {**SWITCH_NEW, "disable_direct_deposit_splitting": True},
        {"org_name": "Acme", "account_id": "a", "disable_direct_deposit_splitting": True},
        {**SWITCH_NEW, "allocation": LinkTokenAllocation()},
        {**SWITCH_NEW, "allocation": LinkTokenAllocation(type="amount", value=Decimal("0.01"))},
        {**SWITCH_NEW, "allocation": LinkTokenAllocation(type="amount", value=Decimal(5), min_amount=Decimal(5))},
        {**SWITCH_NEW, "allocation": LinkTokenAllocation(min_amount=Decimal(5))},
        {**NEW, "allocation": target()},
        {**NEW, "allocation": target(name="Ab", account_number="1" * 34)},
        {**SWITCH_OLD, "allocation": target(type="savings", routing_number="0" * 9, account_number="123456")},
    ],
)
async def test_what_the_server_takes_is_sent(arguments, caller):
    """Everything within the documented limits, the limits included, is sent."""
    await LinkTokenEndpoints(caller).create(**arguments)

    assert len(caller.sent) == 1


@pytest.mark.parametrize("form", [NEW, OLD], ids=["2025", "2023"])
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        *[({"org_name": name}, "org_name must be text of 3 to 30 characters") for name in ("", "Ab", "A" * 31)],
        *[
            ({"end_user_id": user}, "end_user_id must be text of 1 to 255 characters")
            for user in ("", " \n", "u" * 256)
        ],
        ({"end_user_id": 42}, "end_user_id must be text, not int"),
        ({"end_user_id": None}, "end_user_id must be given, unless account_id is"),
        ({"account_id": "a", "end_user_id": " "}, "end_user_id must be text of 1 to 255 characters"),
        ({"tags": {"a": 1}}, "tags must map text to text, not int"),
        ({"tags": {b"a": "a"}}, "tags must map text to text, not bytes"),
        ({"tags": "a"}, "tags must be a mapping of text to text, not str"),
        (
            {"allocation": LinkTokenAllocation(type="amount")},
            "allocation.value must be given, because allocation.type is amount",
        ),
        (
            {"allocation": LinkTokenAllocation(type="amount", value=Decimal("4.99"), min_amount=Decimal(5))},
            "allocation.value must be at least allocation.min_amount",
        ),
        *[
            (
                {"allocation": LinkTokenAllocation(type="amount", value=value, min_amount=Decimal(5))},
                f"allocation.value must be a finite Decimal or int{kind}",
            )
            for value, kind in (
                (Decimal("NaN"), ""),
                (Decimal("sNaN"), ""),
                (Decimal("Infinity"), ""),
                (9.5, ", not float"),
                (True, ", not bool"),
                ("9", ", not str"),
            )
        ],
        (
            {"allocation": LinkTokenAllocation(value=Decimal(5), min_amount=Decimal("-Infinity"))},
            "allocation.min_amount must be a finite Decimal or int",
        ),
        *[
            ({"allocation": target(name=name)}, "allocation.targets[0].name must be text of 2 to 30 characters")
            for name in ("", "A", "A" * 31)
        ],
        *[
            (
                {"allocation": target(routing_number=number)},
                f"allocation.targets[0].routing_number {DIGITS.format('9')}",
            )
            for number in ("", "12345678", "1234567890", "12345678x", "123456789\n", "١٢٣٤٥٦٧٨٩")
        ],
        *[
            (
                {"allocation": target(account_number=number)},
                f"allocation.targets[0].account_number {DIGITS.format('at least {least}')}",
            )
            for number in ("", "1234", "12-345", " 12345")
        ],
        ({"allocation": target(account_number=12345)}, "allocation.targets[0].account_number must be text, not int"),
        ({"end_user": "planted"}, "end_user must be a LinkTokenEndUser or a dict, not str"),
        ({"allocation": {"targets": "planted"}}, f"allocation.targets {LIST}, not str"),
        (
            {"allocation": {"targets": [{"planted": "planted"}]}},
            "allocation.targets[0] must hold no other keys than the fields of LinkTokenBankAccount",
        ),
        (
            {"end_user": {"platfrom_matching": {}}},
            "end_user must hold no other keys than the fields of LinkTokenEndUser; did you mean platform_matching?",
        ),
        ({"end_user": {"platform_matching": {"email": 5}}}, "end_user.platform_matching.email must be text, not int"),
        (
            {"end_user": matching(date_of_birth="planted")},
            "end_user.platform_matching.date_of_birth must be a date, such as moment.date(), not str",
        ),
        ({"language": "english"}, f"language must be one of en, es; {NEWER}"),
        ({"account_id": None, "employer_id": b"planted"}, "employer_id must be text, not bytes"),
        *[
            (
                {"end_user": matching(**{name: value})},
                f"end_user.platform_matching.{name} {DIGITS.format(length)}",
            )
            for name, length in (
                ("social_security_number", 9),
                ("social_security_number_last_four", 4),
                ("mobile_phone_number", 10),
                ("home_address_zip_code", 5),
            )
            for value in ("", "1" * (length - 1), "1" * (length + 1), "1" * (length - 1) + "-")
        ],
        *[
            ({"end_user": matching(email=email)}, "end_user.platform_matching.email must be an email address")
            for email in ("", "ann", "@b.example", "ann@")
        ],
    ],
)
async def test_both_forms_refuse_what_the_server_would(form, arguments, problem, caller):
    """One argument out of its documented limits is one problem that names the field and the cure, in either form."""
    assert [problem.replace("{least}", "5" if form is NEW else "6")] == await refused(caller, {**form, **arguments})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({**NEW, "features": None}, "features must name at least one job, unless account_id is given"),
        ({**NEW, "features": []}, "features must name at least one job, unless account_id is given"),
        ({**OLD, "required_jobs": ()}, f"{OLDER} must name at least one job, unless account_id is given"),
        ({**OLD, "required_jobs": None}, f"{OLDER} must name at least one job, unless account_id is given"),
        ({**NEW, "features": "income"}, f"features {LIST}, not str"),
        ({**OLD, "required_jobs": "income"}, f"required_jobs {LIST}, not str"),
        ({**NEW, "solution": None}, f"solution must be given, as one of {SOLUTIONS}"),
        ({**NEW, "solution": ""}, f"solution must be one of {SOLUTIONS}; {NEWER}"),
        ({**NEW, "solution": "verify"}, f"solution must be one of {SOLUTIONS}; did you mean Verify?; {NEWER}"),
        (
            {**NEW, "features": ["paystub"]},
            f"features[0] must be one of {', '.join(get_args(JobType))}; did you mean paystubs?; {NEWER}",
        ),
        ({**NEW, "features": [None]}, f"features[0] must be one of {', '.join(get_args(JobType))}, not NoneType"),
        (
            {**NEW, "cards": [card(), card(state="Texas")]},
            f"cards[1].state must be one of the 50 documented values; {NEWER}",
        ),
        ({**NEW, "cards": [None]}, "cards[0] must be a LinkTokenCard or a dict, not NoneType"),
        (
            {**OLD, "platform_type": "merchant"},
            f"platform_type must be one of payroll, time_and_attendance, tax; {NEWER}",
        ),
        (
            {"org_name": "Acme", "account_id": "a", "use_case": "underwriting"},
            f"solution must be given, as one of {SOLUTIONS}",
        ),
        (
            {**OLD, "skip_intro_screen": True, "end_user": matching(first_name="Ann")},
            "skip_intro_screen must be left out where end_user.platform_matching is given",
        ),
        ({**NEW, "reseller_customer_id": "r" * 41}, "reseller_customer_id must be text of 0 to 40 characters"),
        ({**NEW, "cards": [card(card_name="A")]}, "cards[0].card_name must be text of 2 to 30 characters"),
        ({**NEW, "cards": [card(card_name="A" * 31)]}, "cards[0].card_name must be text of 2 to 30 characters"),
        ({**NEW, "cards": [card(), card(card_number="1234567")]}, f"cards[1].card_number {DIGITS.format('8 to 19')}"),
        ({**NEW, "cards": [card(card_number="1" * 20)]}, f"cards[0].card_number {DIGITS.format('8 to 19')}"),
        ({**NEW, "cards": [card(card_number="1234 5678")]}, f"cards[0].card_number {DIGITS.format('8 to 19')}"),
        ({**NEW, "cards": [card(card_zip_code="1234")]}, f"cards[0].card_zip_code {DIGITS.format('5')}"),
        ({**NEW, "cards": [card(cvc="12")]}, "cards[0].cvc must be text of 3 to 4 characters"),
        ({**NEW, "cards": [card(cvc="12345")]}, "cards[0].cvc must be text of 3 to 4 characters"),
    ],
)
async def test_one_form_refuses_what_the_server_would(arguments, problem, caller):
    """What only one form has is checked there."""
    assert [problem] == await refused(caller, arguments)


@pytest.mark.parametrize(
    "arguments",
    [SWITCH_NEW, SWITCH_OLD, {**NEW, "solution": "Deposit Switch"}],
    ids=["feature", "required job", "solution"],
)
async def test_a_deposit_switch_needs_whole_targets(arguments, caller):
    """A target of a deposit switch has type, routing number and account number."""
    allocation = LinkTokenAllocation(
        targets=(
            LinkTokenBankAccount(type="checking", routing_number="1" * 9, account_number="1" * 6),
            LinkTokenBankAccount(name="Other"),
        )
    )

    assert [
        f"allocation.targets[1].{name} must be given for a deposit switch"
        for name in ("type", "routing_number", "account_number")
    ] == await refused(caller, {**arguments, "allocation": allocation})


async def test_a_bill_switch_needs_whole_cards(caller):
    """A card of a bill switch has what a biller asks for; only the second address line may be missing."""
    arguments = {**NEW, "features": ["bill_switch"], "cards": [card()]}

    assert [
        f"cards[0].{name} must be given for a bill switch" for name in ("cvc", "billing_address", "city", "state")
    ] == await refused(caller, arguments)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"solution": "Verify", "features": ["income"]}, "solution and features"),
        (
            {"solution": "Verify", "features": ["income"], "use_case": "underwriting"},
            "solution and features and use_case",
        ),
        ({"solution": "Verify", "features": ["income"], "cards": []}, "solution and features and cards"),
    ],
)
async def test_the_forms_cannot_be_mixed(arguments, names, caller):
    """Arguments of both forms are refused, and the cure is named."""
    assert [
        f"required_jobs must be left out where {names} is given; what it lists belongs into features"
    ] == await refused(caller, {**OLD, **arguments})


@pytest.mark.parametrize(
    "newer",
    [
        {"use_case": "underwriting"},
        {"cards": []},
        {"reseller_customer_id": "r"},
        {"solution": "Verify"},
        {"features": ["income"]},
    ],
    ids=lambda newer: next(iter(newer)),
)
async def test_no_new_argument_goes_with_required_jobs(newer, caller):
    """Every argument that is new in 2025-07-08 is refused beside `required_jobs`."""
    (name,) = newer

    problems = await refused(caller, {**OLD, **newer})
    assert f"required_jobs must be left out where {name} is given; what it lists belongs into features" in problems


async def test_all_problems_come_at_once(caller):
    """One error names everything that is wrong."""
    problems = await refused(
        caller,
        {
            "org_name": "A",
            "features": ["direct_deposit_switch"],
            "allocation": target(type="checking", routing_number="1", account_number="radium"),
            "end_user": matching(social_security_number="radium", email="radium"),
            "cards": [card(card_number="radium")],
        },
    )

    assert [
        f"solution must be given, as one of {SOLUTIONS}",
        "org_name must be text of 3 to 30 characters",
        f"cards[0].card_number {DIGITS.format('8 to 19')}",
        "end_user_id must be given, unless account_id is",
        f"allocation.targets[0].routing_number {DIGITS.format('9')}",
        f"allocation.targets[0].account_number {DIGITS.format('at least 5')}",
        f"end_user.platform_matching.social_security_number {DIGITS.format('9')}",
        "end_user.platform_matching.email must be an email address",
    ] == problems


async def test_a_misspelt_argument_is_told_what_was_meant(caller):
    """An argument that no form has is refused by its name, as a `TypeError`, too."""
    with pytest.raises(TypeError, match="org_nane is no argument; did you mean org_name") as caught:
        await LinkTokenEndpoints(caller).create(**NEW, org_nane="planted")

    assert (True, []) == (isinstance(caught.value, RequestError), caller.sent)


async def test_dicts_are_sent_as_models_are(caller):
    """A dict with the fields of a model gives the same request as the model."""
    account = {"type": "checking", "routing_number": "123456789", "account_number": "123456"}
    person = {"first_name": "Ann", "date_of_birth": date(1990, 1, 2)}
    models = {
        "allocation": LinkTokenAllocation(type="amount", value=5, targets=(LinkTokenBankAccount(**account),)),
        "end_user": matching(**person),
        "cards": [card()],
    }
    dicts = {
        "allocation": {"type": "amount", "value": 5, "targets": [account]},
        "end_user": {"platform_matching": person},
        "cards": [card().to_dict()],
    }
    for given in (models, dicts):
        await LinkTokenEndpoints(caller).create(**SWITCH_NEW, **given)

    first, second = caller.sent
    assert first == second


@pytest.mark.parametrize(
    ("given", "sent"),
    [(date(2029, 5, 31), "05/29"), (date(2030, 12, 1), "12/30"), ("05/29", "05/29"), ("01/00", "01/00")],
)
async def test_a_card_expires_in_a_month(given, sent, caller):
    """The expiry of a card is sent as MM/YY, from a date or from such text."""
    await LinkTokenEndpoints(caller).create(**NEW, cards=[card(expiration_date=given)])

    assert f'"expiration_date":"{sent}"'.encode() in caller.request.body


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        *[
            (text, "")
            for text in ("13/29", "00/29", "5/29", "05/2029", "0529", "2029-05-31", "", "05/29\n", "\u0660\u0665/29")
        ],
        (529, ", not int"),
        (datetime(2029, 5, 31, tzinfo=UTC), ", not datetime"),
        (date(1999, 5, 31), ", not date"),
        (date(2129, 5, 31), ", not date"),
        (None, ", not NoneType"),
    ],
)
@pytest.mark.parametrize("form", [card, lambda **fields: {**card().to_dict(), **fields}], ids=["model", "dict"])
async def test_another_expiry_is_refused(form, given, kind, caller):
    """What is no month of this century is refused before it is sent."""
    problems = await refused(caller, {**NEW, "cards": [form(expiration_date=given)]})

    assert [f"cards[0].expiration_date must be a date or MM/YY, such as 05/29{kind}"] == problems


def test_an_exact_amount_is_a_decimal():
    """A whole number of dollars becomes the decimal that it is."""
    allocation = LinkTokenAllocation(value=100, min_amount=5)

    assert (Decimal, Decimal) == (type(allocation.value), type(allocation.min_amount))


async def test_amounts_are_sent_without_loss(caller):
    """A decimal goes out with the digits it has."""
    allocation = LinkTokenAllocation(type="amount", value=Decimal("1234567890123456.78"), min_amount=Decimal("0.10"))
    await LinkTokenEndpoints(caller).create(**{**SWITCH_NEW, "allocation": allocation})

    assert b'"value":1234567890123456.78,"min_amount":0.10' in caller.request.body
