"""Link token requests: which form they take, and everything that is refused before it is sent."""

from datetime import date
from decimal import Decimal

import pytest

from pinwheel_async.endpoints import LinkTokenEndpoints
from pinwheel_async.errors import RequestError
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
        {**NEW, "solution": "Something New", "features": ["something_new"], "language": "fr"},
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
        {**SWITCH_OLD, "allocation": target(type="savings", routing_number="0" * 9, account_number="12345")},
    ],
)
async def test_what_the_server_takes_is_sent(arguments, caller):
    """Everything within the documented limits, the limits included, and every unknown enum value is sent."""
    await LinkTokenEndpoints(caller).create(**arguments)

    assert len(caller.sent) == 1


@pytest.mark.parametrize("form", [NEW, OLD], ids=["2025", "2023"])
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        *[({"org_name": name}, "org_name must be text of 3 to 30 characters") for name in ("", "Ab", "A" * 31)],
        *[
            ({"end_user_id": user}, "end_user_id must be text of 1 to 255 characters")
            for user in ("", " \n", "u" * 256, 42)
        ],
        ({"end_user_id": None}, "end_user_id must be given, unless account_id is"),
        ({"account_id": "a", "end_user_id": " "}, "end_user_id must be text of 1 to 255 characters"),
        ({"tags": {"a": 1}}, "tags must map text to text"),
        ({"tags": {1: "a"}}, "tags must map text to text"),
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
                "allocation.value must be a finite Decimal, in dollars",
            )
            for value in (Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), 9.5, 9, "9")
        ],
        (
            {"allocation": LinkTokenAllocation(value=Decimal(5), min_amount=Decimal("-Infinity"))},
            "allocation.min_amount must be a finite Decimal, in dollars",
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
            for number in ("", "12345678", "1234567890", "12345678x", "123456789\n", "١٢٣٤٥٦٧٨٩", 123456789)
        ],
        *[
            (
                {"allocation": target(account_number=number)},
                f"allocation.targets[0].account_number {DIGITS.format('at least 5')}",
            )
            for number in ("", "1234", "12-345", " 12345", 12345)
        ],
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
            for value in ("", "1" * (length - 1), "1" * (length + 1), "1" * (length - 1) + "-", int("1" * length))
        ],
        *[
            ({"end_user": matching(email=email)}, "end_user.platform_matching.email must be an email address")
            for email in ("", "ann", "@b.example", "ann@")
        ],
    ],
)
async def test_both_forms_refuse_what_the_server_would(form, arguments, problem, caller):
    """One argument out of its documented limits is one problem that names the field and the cure, in either form."""
    assert [problem] == await refused(caller, {**form, **arguments})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({**NEW, "features": None}, "features must name at least one job, unless account_id is given"),
        ({**NEW, "features": []}, "features must name at least one job, unless account_id is given"),
        ({**OLD, "required_jobs": ()}, "required_jobs must name at least one job, unless account_id is given"),
        ({**OLD, "required_jobs": None}, "required_jobs must name at least one job, unless account_id is given"),
        ({**NEW, "features": "income"}, "features must be a list, such as [value], even for one value"),
        ({**OLD, "required_jobs": "income"}, "required_jobs must be a list, such as [value], even for one value"),
        ({**NEW, "solution": None}, "solution must be given, such as Verify or Deposit Switch"),
        ({**NEW, "solution": ""}, "solution must be given, such as Verify or Deposit Switch"),
        (
            {"org_name": "Acme", "account_id": "a", "use_case": "underwriting"},
            "solution must be given, such as Verify or Deposit Switch",
        ),
        (
            {**OLD, "skip_intro_screen": True, "end_user": matching(first_name="Ann")},
            "skip_intro_screen must be left out where end_user.platform_matching is given",
        ),
        (
            {**NEW, "disable_direct_deposit_splitting": True},
            "disable_direct_deposit_splitting must be left out, or features must hold direct_deposit_switch",
        ),
        (
            {**OLD, "disable_direct_deposit_splitting": True},
            "disable_direct_deposit_splitting must be left out, or required_jobs must hold direct_deposit_switch",
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
            LinkTokenBankAccount(type="checking", routing_number="1" * 9, account_number="1" * 5),
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
    """Who reads the error can cure everything in one go."""
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
        "org_name must be text of 3 to 30 characters",
        "solution must be given, such as Verify or Deposit Switch",
        f"cards[0].card_number {DIGITS.format('8 to 19')}",
        "end_user_id must be given, unless account_id is",
        f"allocation.targets[0].routing_number {DIGITS.format('9')}",
        f"allocation.targets[0].account_number {DIGITS.format('at least 5')}",
        f"end_user.platform_matching.social_security_number {DIGITS.format('9')}",
        "end_user.platform_matching.email must be an email address",
    ] == problems


async def test_a_misspelt_argument_is_a_type_error(caller):
    """An argument that no form has is refused as Python does, by its name."""
    with pytest.raises(TypeError, match="org_nane"):
        await LinkTokenEndpoints(caller).create(**NEW, org_nane="Acme")


async def test_amounts_are_sent_without_loss(caller):
    """A decimal goes out with the digits it has."""
    allocation = LinkTokenAllocation(type="amount", value=Decimal("1234567890123456.78"), min_amount=Decimal("0.10"))
    await LinkTokenEndpoints(caller).create(**{**SWITCH_NEW, "allocation": allocation})

    assert b'"value":1234567890123456.78,"min_amount":0.10' in caller.request.body
