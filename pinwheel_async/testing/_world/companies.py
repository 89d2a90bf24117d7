"""Companies that are connected with Company Connect, and the people they employ, made up."""

from datetime import date, datetime, timedelta

from pinwheel_async.testing._world.directory import employer_name
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.pay import paystubs
from pinwheel_async.testing._world.people import Change, Profile, address, make_profile, pay_frequency, phone
from pinwheel_async.testing._world.records import Record, stamp

CONNECTION_COUNT = 3
_STATUS = ("data_available", "processing", "reconnect_needed")
# Employees are profiles with numbers that no account of a world has.
_FIRST_PROFILE = 1 << 30
_PER_COMPANY = 1 << 16


def connection(ids: Ids, number: int, end: datetime) -> Record:
    """Make a company connection."""
    created = end - timedelta(days=90 - number)
    return {
        "id": ids.make("company_connection", number),
        "created_at": stamp(created),
        "company_name": employer_name(number),
        "status": _STATUS[number % len(_STATUS)],
        "status_updated_at": stamp(created + timedelta(hours=1)),
    }


def employees(ids: Ids, number: int, end: datetime) -> list[Profile]:
    """Make the people whom a company employs; a company without data has none."""
    if number >= CONNECTION_COUNT or _STATUS[number] != "data_available":
        return []
    first = _FIRST_PROFILE + number * _PER_COMPANY
    return [make_profile(ids, first + place, end) for place in range(ids.random("company", number).randint(28, 60))]


def external_id(profile: Profile) -> str:
    """Return the number that the employer gave to an employee; it is free text and needs encoding in a path."""
    return f"EMP/{profile.index % _PER_COMPANY:04d}"


def census(profile: Profile) -> Record:
    """Make the census record of an employee."""
    return {
        **_head(profile),
        "date_of_birth": date(1970 + profile.index % 30, 1 + profile.index % 12, 1).isoformat(),
        "emails": [f"employee.{profile.index % _PER_COMPANY}@example.com"],
        "first_name": profile.first_name,
        "middle_name": "",
        "last_name": profile.last_name,
        "last_four_ssn": None,
        "full_name": profile.full_name,
        "address": address(profile.index),
        "phone_numbers": [{"value": phone(profile.index), "type": "mobile"}],
    }


def employment(profile: Profile, company: int) -> Record:
    """Make the employment record of an employee."""
    return {
        **_head(profile),
        "status": "employed",
        "employment_type": "full_time" if profile.salaried else "part_time",
        "start_date": profile.created_at.date().isoformat(),
        "termination_date": None,
        "employer_name": employer_name(company),
        "title": None,
        "department": "Fiction",
        "manager_external_id": None,
        "class_code": None,
        "employer_address": address(company),
    }


def income(profile: Profile) -> Record:
    """Make the income record of an employee."""
    return {
        **_head(profile),
        "compensation_amount": profile.hourly_cents * 2_080 if profile.salaried else profile.hourly_cents,
        "compensation_unit": "annually" if profile.salaried else "hourly",
        "currency": "USD",
        "pay_frequency": pay_frequency(profile),
    }


def pay(profile: Profile, ids: Ids, company: int) -> list[Record]:
    """Make the paystubs of an employee, oldest first: totals without lines."""
    dropped = {"id", "account_id", "external_paystub_id", "taxes", "deductions", "earnings", "time_off", "document"}
    mine = {"employee_external_id": external_id(profile), "employer_name": employer_name(company)}
    made = paystubs(profile, ids, Change())
    return [{name: value for name, value in stub.items() if name not in dropped} | mine for stub in made]


def _head(profile: Profile) -> Record:
    return {"created_at": stamp(profile.created_at), "employee_external_id": external_id(profile)}
