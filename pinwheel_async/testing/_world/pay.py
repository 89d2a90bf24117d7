"""Pay of the made-up people: paystubs, shifts, tax forms and payouts, always oldest first.

Amounts add up: earnings to gross, gross less taxes and deductions to net, and the running totals of a year.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from attrs import define

from pinwheel_async.testing._world.directory import employer_name
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.people import Change, Profile, address
from pinwheel_async.testing._world.records import Record, stamp

NIL_ID = "00000000-0000-0000-0000-000000000000"
"""In the sandbox every document of a paystub has it."""

LINK_MARK = "\x7f"
"""Stands three times in a record where each answer puts a link of its own: for host, token and expiry. It is one
byte, which JSON does not escape, because a page is searched for it on each answer."""


def document(document_id: str, file: str) -> Record:
    """Make the handle to a file; the link in it is completed at each answer."""
    return {
        "id": document_id,
        "download_url": f"{LINK_MARK}/documents/{file}?{LINK_MARK}",
        "download_url_expiration": LINK_MARK,
    }


@define
class _Year:
    """Running totals of one calendar year."""

    year: int = 0
    gross: int = 0
    net: int = 0


def paystubs(profile: Profile, ids: Ids, change: Change) -> list[Record]:
    """Make the paystubs of an account; each change adds a newer one. Some pay periods are missing."""
    rng = ids.random("paystubs", profile.index)
    first = profile.last_pay_date - timedelta(days=profile.period_days * (profile.paystubs - 1))
    running = _Year()
    made: list[Record] = []
    for number in range(profile.paystubs + change.count):
        fetched = change.added_at(number - profile.paystubs)
        pay_date = first + timedelta(days=profile.period_days * number)
        missing = number < profile.paystubs - 1 and rng.random() < 0.03
        paystub = _paystub(profile, ids.make("paystub", profile.index, number), pay_date, rng, running)
        if not missing:
            made.append({**paystub, "created_at": stamp(fetched or _fetched_at(profile, pay_date))})
    return made


def _fetched_at(profile: Profile, day: date) -> datetime:
    """Return when something of that day was fetched: with the connection, or in the night after it happened."""
    return max(
        profile.after(44),
        datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=30),
    )


def _paystub(profile: Profile, paystub_id: str, pay_date: date, rng: Random, running: _Year) -> Record:
    earnings = _earnings(profile, rng)
    gross = sum(line["amount"] for line in earnings)
    taxes, deductions = _taxes(gross, rng), _deductions(gross, rng)
    total_taxes, total_deductions = _total(taxes), _total(deductions)
    net = gross - total_taxes - total_deductions
    reimbursed = 1_250 if rng.random() < 0.1 else 0
    if running.year != pay_date.year:
        running.year, running.gross, running.net = pay_date.year, 0, 0
    running.gross += gross
    running.net += net
    period_end = pay_date - timedelta(days=5)
    return {
        "id": paystub_id,
        "created_at": "",
        "account_id": profile.account_id,
        "pay_date": pay_date.isoformat(),
        "pay_period_start": (period_end - timedelta(days=profile.period_days - 1)).isoformat(),
        "pay_period_end": period_end.isoformat(),
        "currency": "USD",
        "gross_pay_amount": gross,
        "net_pay_amount": net,
        "check_amount": net + reimbursed,
        "gross_pay_ytd": running.gross,
        "net_pay_ytd": running.net,
        "total_taxes": total_taxes,
        "total_deductions": total_deductions,
        "total_reimbursements": reimbursed,
        "external_paystub_id": f"stub-{profile.index}-{pay_date:%Y%m%d}" if profile.index % 2 else None,
        "employer_name": employer_name(profile.employer) if profile.index % 3 else None,
        "taxes": taxes,
        "deductions": deductions,
        "earnings": earnings,
        "time_off": _time_off(profile, rng),
        "document": document(NIL_ID, paystub_id) if rng.random() < 0.9 else None,
    }


def _earnings(profile: Profile, rng: Random) -> list[Record]:
    hours = profile.period_days * 40 / 7
    if profile.salaried:
        amount = profile.hourly_cents * 2_080 // (364 // profile.period_days)
        return [_earning("Salary", "salary", amount, None, None)]
    worked = hours - rng.randrange(17) / 4
    lines = [_earning("Regular", "hourly", int(profile.hourly_cents * worked), profile.hourly_cents, worked)]
    if rng.random() < 0.4:
        rate, extra = profile.hourly_cents * 3 // 2, rng.randrange(1, 33) / 4
        lines.append(_earning("Overtime", "overtime", int(rate * extra), rate, extra))
    if rng.random() < 0.1:
        lines.append(_earning("Bonus", "bonus", 10_000, None, None))
    return lines


def _earning(name: str, category: str, amount: int, rate: int | None, hours: float | None) -> Record:
    return {"name": name, "category": category, "amount": amount, "rate": rate, "hours": hours}


def _taxes(gross: int, rng: Random) -> list[Record]:
    state = gross * 4 // 100 if rng.random() < 0.8 else 0
    return [
        {"name": "Federal Income", "category": "federal_income", "amount": gross * 12 // 100},
        {"name": "Social Security", "category": "social_security", "amount": gross * 62 // 1_000},
        {"name": "Medicare", "category": "medicare", "amount": gross * 145 // 10_000},
        {"name": "State Income", "category": "state_income", "amount": state},
    ]


def _deductions(gross: int, rng: Random) -> list[Record]:
    lines = [{"name": "401(k)", "category": "retirement", "amount": gross * 5 // 100, "type": "pre_tax"}]
    if rng.random() < 0.7:
        lines.append({"name": "Medical", "category": "medical_insurance", "amount": 4_200, "type": "pre_tax"})
    if rng.random() < 0.2:
        lines.append({"name": "Fictional Union", "category": "union_dues", "amount": 1_100, "type": "unknown"})
    return lines


def _time_off(profile: Profile, rng: Random) -> list[Record]:
    if profile.index % 2:
        return []
    hours = {"available_hours": rng.randrange(160) / 2, "earned_hours": 3.0, "used_hours": 0.0}
    return [{"name": "Vacation", "category": "pto", **hours}]


def _total(lines: list[Record]) -> int:
    return sum(line["amount"] for line in lines)


def shifts(profile: Profile, ids: Ids, change: Change) -> list[Record]:
    """Make the shifts of an account; each change adds a newer one. Clock times carry the local offset."""
    rng = ids.random("shifts", profile.index)
    first = profile.last_pay_date - timedelta(days=profile.shifts - 1)
    made: list[Record] = []
    for number in range(profile.shifts + change.count):
        fetched = change.added_at(number - profile.shifts)
        starts = first + timedelta(days=number)
        ends = starts + timedelta(days=rng.random() < 0.1)
        hours = float(rng.randrange(4, 11))
        made.append(
            {
                "id": ids.make("shift", profile.index, number),
                "created_at": stamp(fetched or _fetched_at(profile, ends)),
                "account_id": profile.account_id,
                "start_date": starts.isoformat(),
                "end_date": ends.isoformat(),
                "type": "shift" if rng.random() < 0.9 else "delivery",
                "timezone": profile.zone[0],
                "timestamps": [
                    {"from": f"{starts}T08:00:00{profile.zone[1]}", "to": f"{starts}T12:00:00{profile.zone[1]}"},
                    {"from": f"{starts}T13:00:00{profile.zone[1]}", "to": f"{ends}T21:30:00{profile.zone[1]}"},
                ],
                "currency": "USD",
                "earnings": [
                    _earning("Regular", "hourly", int(profile.hourly_cents * hours), profile.hourly_cents, hours),
                    {"name": "Tips", "category": "tips", "amount": None, "rate": None, "hours": None},
                ],
            }
        )
    return made


def tax_forms(profile: Profile, ids: Ids, change: Change) -> list[Record]:
    """Make the tax forms of an account, complete; a list shows only the first five fields of each."""
    made: list[Record] = []
    for number in range(profile.tax_forms + change.count):
        year = profile.end.year - profile.tax_forms + number
        form_id = ids.make("tax_form", profile.index, number)
        made.append(
            {
                "id": form_id,
                "created_at": stamp(profile.after(48)),
                "account_id": profile.account_id,
                "form_type": "1099-NEC" if profile.index % 7 == 3 else "W-2",
                "year": year,
                "document": document(ids.make("document", profile.index, number), form_id),
                "parsed_data": w2(profile) if profile.index % 7 != 3 else None,
                "warnings": None,
            }
        )
    return made


def w2(profile: Profile) -> Record:
    """Make the boxes of a W-2."""
    wages = profile.hourly_cents * 2_080
    state = {"box_15_state": "AZ", "box_15_employer_state_id": None, "box_16": wages, "box_17": wages * 4 // 100}
    return {
        "document_type": "W-2",
        "box_a": "000-00-0000",
        "box_b": f"00-{profile.employer:07d}",
        "box_c": {"name": employer_name(profile.employer), "address": address(profile.employer)},
        "box_d": None,
        "box_e": profile.full_name,
        "box_f": address(profile.index),
        "box_1": wages,
        "box_2": wages * 12 // 100,
        "box_3": wages,
        "box_4": wages * 62 // 1_000,
        "box_5": wages,
        "box_6": wages * 145 // 10_000,
        **dict.fromkeys(("box_7", "box_8", "box_9", "box_10", "box_11")),
        "box_12": [{"code": "D", "amount": wages * 5 // 100}],
        "box_13": {"statutory_employee": False, "retirement_plan": True, "third_party_sick_pay": False},
        "box_14": None,
        "box_15_to_20": [{**state, "box_18": None, "box_19": None, "box_20": None}],
    }


def payouts(profile: Profile, stubs: list[Record]) -> list[Record]:
    """Make the earnings stream: up to 30 finished payouts, and two that are only estimated."""
    finished = [_payout("processed", stub["pay_date"], stub["net_pay_amount"], None) for stub in stubs[-30:]]
    guess = stubs[-1]["net_pay_amount"] if stubs else profile.hourly_cents * 30
    last = date.fromisoformat(stubs[-1]["pay_date"]) if stubs else profile.last_pay_date
    ahead = [last + timedelta(days=profile.period_days * number) for number in (1, 2)]
    return finished + [_payout("estimated", pay_date.isoformat(), guess, 0.75) for pay_date in ahead]


def _payout(status: str, pay_date: str, net: int, confidence: float | None) -> Record:
    day = (datetime.fromisoformat(pay_date) - timedelta(days=7)).date().isoformat()
    pay: dict[str, Any] = {"amount": net, "currency": "USD"}
    earnings = [{"date": day, "confidence_score": confidence, "net_pay": pay}]
    return {"status": status, "pay_date": pay_date, "net_pay": pay, "earnings": earnings}
