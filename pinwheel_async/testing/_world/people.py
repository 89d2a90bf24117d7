"""People behind the made-up accounts, and their jobs: one profile each, and the records that follow from it.

Everything is obviously fictional: names end in "Example", mail goes to example.com, telephone numbers are of the range
kept for fiction, and social security numbers begin with 000, which no real one does.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from attrs import frozen

from pinwheel_async.testing._world.directory import EMPLOYER_COUNT, PLATFORM_COUNT, employer_name
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.records import Record, stamp

START = datetime(2026, 3, 17, 15, 5, 2, 118402, tzinfo=UTC)
"""Moment at which generated data is complete unless another one is given; every generated date is counted from it."""

DATED_PRODUCTS = ("direct_deposit_allocations", "income", "employment", "identity", "shifts", "paystubs")
"""Products whose times an account shows."""

FIRST_NAMES = ("Testina", "Mocky", "Fakira", "Sampleton", "Dummett", "Stubina", "Placida", "Fixton", "Prototina")
LAST_NAMES = ("Example", "Sample-Example", "von Example", "O'Example", "Exámple")
STREETS = ("Imaginary Avenue", "Placeholder Street", "Nowhere Lane", "Test Data Road")
CITIES = (("Faketown", "AZ"), ("Mockville", "HI"), ("Sampleburg", "AZ"))
TITLES = ("Test Pilot", "Sample Keeper", "Mock Turtle Wrangler", None)
# Zones without summer time, so that an offset needs no time zone database.
ZONES = (("America/Phoenix", "-07:00"), ("Pacific/Honolulu", "-10:00"), ("America/Puerto_Rico", "-04:00"))
SWITCH_TARGET = "Example Checking"
SWITCHED_DOLLARS = 125
BANKS = ("Bank of Nowhere", "First Fictional Bank", None)


@frozen(kw_only=True)
class Profile:
    """Facts that all records of one account agree on."""

    index: int
    account_id: str
    end_user_id: str
    first_name: str
    last_name: str
    platform: int
    employer: int
    created_at: datetime
    hourly_cents: int
    salaried: bool
    period_days: int
    paystubs: int
    shifts: int
    tax_forms: int
    zone: tuple[str, str]
    monitoring_status: str
    end: datetime
    """When the generated data is complete."""
    switched: Literal["full", "partial"] | None = None
    """How much of the pay was moved by a switch to another bank account."""
    checked_at: datetime
    """When the data was last checked in the background."""
    at_once: bool = False
    """Whether the data may be there sooner than some seconds after the account."""

    def after(self, seconds: float) -> datetime:
        """Return when something was fetched that usually takes so long."""
        return self.created_at if self.at_once else self.created_at + timedelta(seconds=seconds)

    @property
    def last_pay_date(self) -> date:
        """The last Friday before the day on which the data is complete."""
        day = self.end.date()
        return day - timedelta(days=(day.weekday() - 5) % 7 + 1)

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


@frozen
class Change:
    """Changes of one product of an account since it was generated."""

    additions: tuple[datetime, ...] = ()
    """When it was touched; each time a list got one more item."""
    at: datetime | None = None
    """When it last changed in any way."""

    @property
    def count(self) -> int:
        """How many times it was touched."""
        return len(self.additions)

    def added_at(self, number: int) -> datetime | None:
        """Return when an item was added, counted from the first that was not generated; None for a generated one."""
        return self.additions[number] if number >= 0 else None


def make_profile(ids: Ids, index: int, end: datetime = START) -> Profile:
    """Make up the person and the job behind account number *index*, with data up to a moment."""
    rng = ids.random("profile", index)
    checked_at = end - timedelta(seconds=rng.randrange(3_600))
    return Profile(
        index=index,
        account_id=ids.account(index),
        end_user_id=f"end_user_{owner(index):06d}",
        first_name=rng.choice(FIRST_NAMES),
        last_name=rng.choice(LAST_NAMES),
        platform=rng.randrange(PLATFORM_COUNT),
        employer=rng.randrange(EMPLOYER_COUNT),
        created_at=end - timedelta(seconds=rng.randrange(86_400, 400 * 86_400), microseconds=rng.randrange(1_000_000)),
        hourly_cents=rng.randrange(1_500, 6_000, 25),
        salaried=rng.random() < 0.3,
        period_days=rng.choice((7, 14, 14)),
        paystubs=rng.choice((0, rng.randint(1, 24), rng.randint(10, 40), rng.randint(26, 60))),
        shifts=rng.choice((0, rng.randint(1, 24), rng.randint(26, 90))),
        tax_forms=rng.randint(0, 4),
        zone=rng.choice(ZONES),
        monitoring_status=rng.choice(("active",) * 12 + ("degraded", "user_action_required", "unavailable")),
        checked_at=checked_at,
        end=end,
    )


def owner(index: int) -> int:
    """Return the number of the end user of an account: every tenth account is a second one of the user before."""
    return index - 1 if index % 10 == 9 else index


def updated_at(profile: Profile, product: str, change: Change) -> datetime:
    """Return when a product last changed: lists grow until the last check, the rest came with the connection."""
    grows = product in {"paystubs", "shifts"}
    return change.at or (profile.checked_at if grows else profile.after(41.003))


def refreshed_at(profile: Profile, product: str, change: Change) -> datetime:
    """Return when a product was last checked at the source."""
    return max(profile.checked_at, updated_at(profile, product, change)) + timedelta(milliseconds=34)


def account(profile: Profile, ids: Ids, changes: dict[str, Change]) -> Record:
    """Make the account itself."""
    moved = {name: (changes.get(name) or Change()) for name in DATED_PRODUCTS}
    return {
        "created_at": stamp(profile.created_at),
        "link_token_id": ids.make("link_token", profile.index),
        "platform_id": ids.make("platform", profile.platform),
        "connected": profile.monitoring_status != "unavailable",
        "monitoring_status": profile.monitoring_status,
        "end_user_id": profile.end_user_id,
        "id": profile.account_id,
        "data_updated_at": {name: stamp(updated_at(profile, name, change)) for name, change in moved.items()},
        "data_refreshed_at": {name: stamp(refreshed_at(profile, name, change)) for name, change in moved.items()},
        "customer_id": None,
        "tags": {"cohort": "fictional"} if profile.index % 3 == 0 else None,
        "reseller_customer_id": None,
    }


def identity(profile: Profile, ids: Ids, change: Change) -> Record:
    """Make the personal data of the account's owner."""
    rng = ids.random("identity", profile.index)
    changed = f".{change.count}" if change.count else ""
    mail = f"person.{profile.index}{changed}@example.com"
    return {
        **_head(profile, ids, "identity", change),
        "full_name": profile.full_name,
        "emails": [mail] if rng.random() < 0.9 else None,
        "date_of_birth": date(1960 + rng.randrange(40), 1 + rng.randrange(12), 1 + rng.randrange(28)).isoformat(),
        "last_four_ssn": f"00{rng.randrange(100):02d}",
        "address": address(rng.randrange(1_000)),
        "phone_numbers": [{"value": phone(rng.randrange(100)), "type": None}] if rng.random() < 0.9 else None,
    }


def employment(profile: Profile, ids: Ids, change: Change) -> Record:
    """Make the employment facts of the account's owner."""
    rng = ids.random("employment", profile.index)
    status = rng.choice(("employed",) * 7 + ("terminated", "furloughed", None))
    return {
        **_head(profile, ids, "employment", change),
        "status": status,
        "start_date": date(profile.end.year - 11 + rng.randrange(10), 1 + rng.randrange(12), 1).isoformat(),
        "termination_date": _weeks_ago(profile) if status == "terminated" else None,
        "employer_name": employer_name(profile.employer),
        "employer_address": address(profile.employer),
        "employer_phone_number": {"value": phone(profile.employer), "type": "work"},
        "title": f"Senior Test Pilot, grade {change.count}" if change.count else rng.choice(TITLES),
    }


def income(profile: Profile, ids: Ids, change: Change) -> Record:
    """Make the current pay rate of the account's owner."""
    hourly = profile.hourly_cents + 50 * change.count
    return {
        **_head(profile, ids, "income", change),
        "compensation_amount": hourly * 2_080 if profile.salaried else hourly,
        "compensation_unit": "annually" if profile.salaried else "hourly",
        "currency": "USD",
        "pay_frequency": pay_frequency(profile),
    }


def allocations(profile: Profile, ids: Ids, change: Change) -> Record:
    """Make the direct deposit setup of the account's owner."""
    rng = ids.random("allocations", profile.index)
    if profile.switched == "full":
        return {
            **_head(profile, ids, "direct_deposit_allocations", change),
            "allocations": [_switched("remainder", None)],
        }
    rows = [_allocation(0, "remainder", None, None, rng.choice(BANKS))]
    if rng.random() < 0.5:
        rows.insert(0, _allocation(1, "amount", 5_000 + 1_000 * change.count, None, rng.choice(BANKS)))
    if change.count or rng.random() < 0.3:
        rows.insert(0, _allocation(2, "percentage", None, 10.0 + change.count, rng.choice(BANKS)))
    if profile.switched == "partial":
        rows.insert(0, _switched("amount", 100 * SWITCHED_DOLLARS))
    ordered = [{**row, "priority": number} for number, row in enumerate(rows, 1)]
    return {**_head(profile, ids, "direct_deposit_allocations", change), "allocations": ordered}


def _weeks_ago(profile: Profile) -> str:
    return (profile.last_pay_date - timedelta(days=14)).isoformat()


def _switched(kind: str, amount: int | None) -> Record:
    """Make the allocation to the bank account that a switch names."""
    named = {"account_name": SWITCH_TARGET, "priority": 1}
    return _allocation(0, kind, amount, None, BANKS[1]) | named


def pay_frequency(profile: Profile) -> str:
    """Return how often pay comes, in the API's words."""
    return "weekly" if profile.period_days == 7 else "bi-weekly"


def address(number: int) -> Record:
    """Make a postal address."""
    city, state = CITIES[number % len(CITIES)]
    line, code = f"{number + 1} {STREETS[number % len(STREETS)]}", f"000{number % 90 + 10}"
    return {
        "raw": f"{line}, {city}, {state} {code}",
        "line1": line,
        "line2": None,
        "city": city,
        "state": state,
        "postal_code": code,
        "country": "US",
    }


def phone(number: int) -> str:
    """Make a telephone number of the range kept for fiction."""
    return f"+1202555{100 + number % 100:04d}"


def _head(profile: Profile, ids: Ids, product: str, change: Change) -> Record:
    return {
        "id": ids.make(product, profile.index),
        "created_at": stamp(profile.after(41)),
        "updated_at": stamp(updated_at(profile, product, change)),
        "account_id": profile.account_id,
    }


def _allocation(number: int, kind: str, amount: int | None, percentage: float | None, bank: str | None) -> Record:
    return {
        "account_name": ("Checking", "Savings", None)[number],
        "account_type": ("checking", "savings", "pay_card")[number],
        "allocation_type": kind,
        "amount": amount,
        "bank_name": bank,
        "currency": "USD",
        "masked_account_number": ("0000", "00", None)[number],
        "percentage": percentage,
        "priority": None,
        "routing_number": ("000000000", "0000", None)[number],
    }
