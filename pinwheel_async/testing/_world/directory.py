"""Directory of the employers and payroll platforms that Link could show, made up."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pinwheel_async.testing._world.ids import Ids

EMPLOYER_COUNT = 60
PLATFORM_COUNT = 40
MERCHANT = 3
"""Number of a platform that sells something."""

_FIRST = ("Fictional", "Imaginary", "Pretend", "Placeholder", "Invented")
_EMPLOYERS = ("Foods", "Airways", "Hospital", "Hardware", "Books", "Logistics")
_PLATFORMS = ("Payroll", "Timeclock", "Tax Office", "Streaming")
_TYPES = ("payroll", "time_and_attendance", "tax", "merchant")
_CHANGED = datetime(2025, 11, 1, 8, 30, 0, 402113, tzinfo=UTC)
_JOBS = ("direct_deposit_switch", "direct_deposit_allocations", "employment", "identity", "income", "paystubs")
_MORE_JOBS = ("shifts", "tax_forms", "bill_switch", "paycheck_viewer")
# Sent by the real API although no list of jobs has them.
_COMPANY_JOBS = ("company_census", "company_employments", "company_incomes", "company_paystubs")


def employer_name(number: int) -> str:
    """Return the name of an employer."""
    return f"{_FIRST[number % len(_FIRST)]} {_EMPLOYERS[number % len(_EMPLOYERS)]} {number // 30 or ''}".strip()


def employer(ids: Ids, number: int) -> dict[str, Any]:
    """Make an employer."""
    return {"id": ids.make("employer", number), "name": employer_name(number), **_abilities(ids, "employer", number)}


def employer_ein(number: int) -> str:
    """Return the tax number of an employer; none that was ever given out begins with 00."""
    return f"00{number:07d}"


def platform(ids: Ids, number: int) -> dict[str, Any]:
    """Make a platform; the last fifth are employers that run a payroll portal of their own."""
    kind = "payroll" if is_portal(number) else _TYPES[number % len(_TYPES)]
    portal = f"{employer_name(number)} Portal"
    name = (
        portal
        if is_portal(number)
        else f"{_FIRST[number % len(_FIRST)]} {_PLATFORMS[number % len(_PLATFORMS)]} {number}"
    )
    return {
        "id": ids.make("platform", number),
        "name": name,
        "type": kind,
        **_abilities(ids, "platform", number),
        "merchant_category": "video_streaming" if kind == "merchant" else None,
    }


def is_portal(number: int) -> bool:
    """Return whether a platform is the portal of one employer."""
    return number >= PLATFORM_COUNT - PLATFORM_COUNT // 5


def search_results(ids: Ids) -> list[dict[str, Any]]:
    """Make every employer and platform in the shape of a search hit."""
    platforms = [platform(ids, number) for number in range(PLATFORM_COUNT)]
    hits = [_hit(found, "platform", found["type"]) for found in platforms]
    return hits + [_hit(employer(ids, number), "employer", "payroll") for number in range(EMPLOYER_COUNT)]


def _hit(found: dict[str, Any], kind: str, platform_type: str) -> dict[str, Any]:
    names = ("type", "merchant_category")
    return {name: value for name, value in found.items() if name not in names} | {
        "platform_type": platform_type,
        "response_type": kind,
        "min_amount": None,
        "max_amount": None,
    }


def _abilities(ids: Ids, kind: str, number: int) -> dict[str, Any]:
    rng = ids.random(kind, number)
    jobs = [*_JOBS, *(job for job in _MORE_JOBS if rng.random() < 0.5), *(_COMPANY_JOBS if number % 4 == 0 else ())]
    return {
        "last_updated": (_CHANGED + timedelta(days=number)).isoformat(timespec="microseconds"),
        "logo_url": f"https://cdn.example.com/logos/{kind}-{number}.png" if rng.random() < 0.7 else None,
        "supported_jobs": jobs,
        "fractional_amount_supported": rng.random() < 0.5,
        "amount_supported": rng.random() < 0.8,
        "min_amount": 25 if number % 5 == 0 else None,
        "max_amount": None,
        "min_percentage": 1,
        "max_percentage": 99,
        "percentage_supported": rng.random() < 0.8,
    }
