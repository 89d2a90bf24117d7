"""What the server would refuse in the body of a link token, found before it is sent.

Only what the API documents; values that a later version may add, such as a new feature, pass.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeAlias

from pinwheel_async.endpoints._rules import digits, dollars, is_amount, text, text_map
from pinwheel_async.models.legacy import LegacyLinkTokenRequest, LegacySiteRequest
from pinwheel_async.models.link_token import (
    LinkTokenAllocation,
    LinkTokenBankAccount,
    LinkTokenCard,
    LinkTokenRequest,
    LinkTokenRequest20231122,
    PlatformMatching,
)

AnyLinkTokenRequest: TypeAlias = LinkTokenRequest | LinkTokenRequest20231122

_SWITCH = "direct_deposit_switch"


def problems(request: AnyLinkTokenRequest) -> Iterator[str]:
    """Yield what is wrong with a request, in either form."""
    yield from text("org_name", request.org_name, 3, 30)
    if isinstance(request, LinkTokenRequest):
        name, jobs, switches = "features", request.features or (), request.solution == "Deposit Switch"
        yield from _only_2025(request)
    else:
        name, jobs, switches = "required_jobs", request.required_jobs or (), False
        yield from _only_2023(request)
    yield from _account_or_user(request, name, jobs)
    if request.disable_direct_deposit_splitting and jobs and _SWITCH not in jobs:
        yield f"disable_direct_deposit_splitting must be left out, or {name} must hold {_SWITCH}"
    yield from text_map("tags", request.tags)
    if request.allocation is not None:
        yield from _allocation(request.allocation, switches=switches or _SWITCH in jobs)
    matching = _matching(request)
    if matching is not None:
        yield from _matching_data(matching)


def _account_or_user(request: AnyLinkTokenRequest, name: str, jobs: Sequence[str]) -> Iterator[str]:
    """Expect a user and a list of jobs; a known account stands for both."""
    if request.end_user_id is not None:
        yield from text("end_user_id", request.end_user_id, 1, 255)
    elif request.account_id is None:
        yield "end_user_id must be given, unless account_id is"
    if request.account_id is None and not jobs:
        yield f"{name} must name at least one job, unless account_id is given"


def _only_2025(request: LinkTokenRequest) -> Iterator[str]:
    if not request.solution:
        yield "solution must be given, such as Verify or Deposit Switch"
    if request.reseller_customer_id is not None:
        yield from text("reseller_customer_id", request.reseller_customer_id, 0, 40)
    switches = "bill_switch" in (request.features or ())
    for index, card in enumerate(request.cards or ()):
        yield from _card(f"cards[{index}]", card, switches=switches)


def _only_2023(request: LinkTokenRequest20231122) -> Iterator[str]:
    if request.skip_intro_screen and _matching(request) is not None:
        yield "skip_intro_screen must be left out where end_user.platform_matching is given"


def _matching(request: AnyLinkTokenRequest) -> PlatformMatching | None:
    return request.end_user.platform_matching if request.end_user is not None else None


def _allocation(allocation: LinkTokenAllocation, *, switches: bool) -> Iterator[str]:
    value, least = allocation.value, allocation.min_amount
    yield from dollars("allocation.value", value)
    yield from dollars("allocation.min_amount", least)
    if allocation.type == "amount" and value is None:
        yield "allocation.value must be given, because allocation.type is amount"
    if value is not None and least is not None and is_amount(value) and is_amount(least) and value < least:
        yield "allocation.value must be at least allocation.min_amount"
    for index, target in enumerate(allocation.targets):
        yield from _target(f"allocation.targets[{index}]", target, switches=switches)


def _target(path: str, target: LinkTokenBankAccount, *, switches: bool) -> Iterator[str]:
    if target.name is not None:
        yield from text(f"{path}.name", target.name, 2, 30)
    if target.routing_number is not None:
        yield from digits(f"{path}.routing_number", target.routing_number, 9, 9)
    if target.account_number is not None:
        yield from digits(f"{path}.account_number", target.account_number, 5, None)
    for name in ("type", "routing_number", "account_number") if switches else ():
        if getattr(target, name) is None:
            yield f"{path}.{name} must be given for a deposit switch"


def _matching_data(data: PlatformMatching) -> Iterator[str]:
    lengths = {
        "social_security_number": 9,
        "social_security_number_last_four": 4,
        "mobile_phone_number": 10,
        "home_address_zip_code": 5,
    }
    for name, length in lengths.items():
        if getattr(data, name) is not None:
            yield from digits(f"end_user.platform_matching.{name}", getattr(data, name), length, length)
    if data.email is not None and not all(data.email.partition("@")):
        yield "end_user.platform_matching.email must be an email address"


def _card(path: str, card: LinkTokenCard, *, switches: bool) -> Iterator[str]:
    yield from text(f"{path}.card_name", card.card_name, 2, 30)
    yield from digits(f"{path}.card_number", card.card_number, 8, 19)
    yield from digits(f"{path}.card_zip_code", card.card_zip_code, 5, 5)
    if card.cvc is not None:
        yield from text(f"{path}.cvc", card.cvc, 3, 4)
    for name in ("cvc", "billing_address", "city", "state") if switches else ():
        if getattr(card, name) is None:
            yield f"{path}.{name} must be given for a bill switch"


def legacy_problems(request: LegacyLinkTokenRequest | LegacySiteRequest) -> Iterator[str]:
    """Yield what is wrong with a request of the time before 2021-04-29."""
    if request.amount is None and request.job == "direct_deposit_payment":
        yield "amount must be given for direct_deposit_payment"
    if request.amount is not None and not _has_cents(request.amount):
        yield "amount must be a Decimal with exactly two decimals, in dollars"
    if isinstance(request, LegacySiteRequest) and not 900 <= request.ttl <= 1209600:
        yield "ttl must be 900 to 1209600 seconds"


def _has_cents(value: object) -> bool:
    return isinstance(value, Decimal) and value.as_tuple().exponent == -2
