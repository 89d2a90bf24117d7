"""Validation of the bodies of link token requests, before they are sent: what the server would refuse.

Only what the API documents. A field that could not be read as its type is None here, and named elsewhere.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from pinwheel_async.endpoints._validation import digits, text
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
_EXPIRY = re.compile(r"(0[1-9]|1[0-2])/[0-9]{2}", re.ASCII)


def problems(request: AnyLinkTokenRequest) -> Iterator[str]:
    """Yield what is wrong with a request, in either form."""
    yield from text("org_name", request.org_name, 3, 30)
    if isinstance(request, LinkTokenRequest):
        jobs, switches, shortest = request.features or (), request.solution == "Deposit Switch", 5
        yield from _only_2025(request)
    else:
        jobs, switches, shortest = request.required_jobs or (), False, 6
        yield from _only_2023(request)
    yield from _account_or_user(request, jobs)
    if request.allocation is not None:
        yield from _allocation(request.allocation, switches=switches or _SWITCH in jobs, shortest=shortest)
    matching = _matching(request)
    if matching is not None:
        yield from _matching_data(matching)


def _account_or_user(request: AnyLinkTokenRequest, jobs: Sequence[str]) -> Iterator[str]:
    """Expect a user and a list of jobs; a known account stands for both."""
    yield from text("end_user_id", request.end_user_id, 1, 255)
    if request.account_id is None and request.end_user_id is None:
        yield "end_user_id must be given, unless account_id is"
    if request.account_id is None and not jobs:
        # Whoever gives neither may know only the newer names.
        older = "required_jobs (or solution and features, the form of 2025-07-08)"
        name = "features" if isinstance(request, LinkTokenRequest) else older
        yield f"{name} must name at least one job, unless account_id is given"


def _only_2025(request: LinkTokenRequest) -> Iterator[str]:
    yield from text("reseller_customer_id", request.reseller_customer_id, 0, 40)
    switches = "bill_switch" in (request.features or ())
    for index, card in enumerate(request.cards or ()):
        yield from _card(f"cards[{index}]", card, switches=switches)


def _only_2023(request: LinkTokenRequest20231122) -> Iterator[str]:
    if request.skip_intro_screen and _matching(request) is not None:
        yield "skip_intro_screen must be left out where end_user.platform_matching is given"


def _matching(request: AnyLinkTokenRequest) -> PlatformMatching | None:
    return request.end_user.platform_matching if request.end_user is not None else None


def _allocation(allocation: LinkTokenAllocation, *, switches: bool, shortest: int) -> Iterator[str]:
    value, least = allocation.value, allocation.min_amount
    if allocation.type == "amount" and value is None:
        yield "allocation.value must be given, because allocation.type is amount"
    if value is not None and least is not None and value < least:
        yield "allocation.value must be at least allocation.min_amount"
    for index, target in enumerate(allocation.targets or ()):
        yield from _target(f"allocation.targets[{index}]", target, switches=switches, shortest=shortest)


def _target(path: str, target: LinkTokenBankAccount, *, switches: bool, shortest: int) -> Iterator[str]:
    yield from text(f"{path}.name", target.name, 2, 30)
    yield from digits(f"{path}.routing_number", target.routing_number, 9, 9)
    yield from digits(f"{path}.account_number", target.account_number, shortest, None)
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
        yield from digits(f"end_user.platform_matching.{name}", getattr(data, name), length, length)
    if data.email is not None and not all(data.email.partition("@")):
        yield "end_user.platform_matching.email must be an email address"


def _card(path: str, card: LinkTokenCard, *, switches: bool) -> Iterator[str]:
    yield from text(f"{path}.card_name", card.card_name, 2, 30)
    yield from digits(f"{path}.card_number", card.card_number, 8, 19)
    yield from _expiry(f"{path}.expiration_date", card.expiration_date)
    yield from digits(f"{path}.card_zip_code", card.card_zip_code, 5, 5)
    yield from text(f"{path}.cvc", card.cvc, 3, 4)
    for name in ("cvc", "billing_address", "city", "state") if switches else ():
        if getattr(card, name) is None:
            yield f"{path}.{name} must be given for a bill switch"


def _expiry(path: str, value: str | None) -> Iterator[str]:
    if value is not None and not _EXPIRY.fullmatch(value):
        yield f"{path} must be a date or MM/YY, such as 05/29"


def legacy_problems(request: LegacyLinkTokenRequest | LegacySiteRequest) -> Iterator[str]:
    """Yield what is wrong with a request of the time before 2021-04-29."""
    if request.amount is None and request.job == "direct_deposit_payment":
        yield "amount must be given for direct_deposit_payment"
    if request.amount is not None and request.amount.as_tuple().exponent != -2:
        yield "amount must be a Decimal with exactly two decimals, in dollars"
    if isinstance(request, LegacySiteRequest):
        yield from _lifetime(request.ttl)


def _lifetime(ttl: float | None) -> Iterator[str]:
    if ttl is not None and not 900 <= ttl <= 1209600:
        yield "ttl must be 900 to 1209600 seconds"
