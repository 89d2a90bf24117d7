"""Shifts worked by the owner of an account."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.fields import MinorUnits, Timestamp, json_names
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import Currency, EarningCategory

ShiftType: TypeAlias = Literal["shift", "rideshare", "delivery", "other"]
"""Kind of work."""


@frozen(kw_only=True, repr=False)
class ShiftEarning(Model):
    """One earnings line of a shift; unlike a paystub's, its amount is optional."""

    name: str
    """Name of the earning."""
    category: EarningCategory | str
    """Kind of earning."""
    amount: MinorUnits | None = None
    """Amount earned, in minor units of the shift's `currency`."""
    rate: MinorUnits | None = None
    """Pay per hour, in minor units of the shift's `currency`."""
    hours: float | None = None
    """Hours worked."""


@json_names
@frozen(kw_only=True, repr=False)
class ShiftTimestamp(Model):
    """A pair of clock-in and clock-out times, with the local offset."""

    from_: Timestamp = field(metadata={"wire": "from"})
    """Start of work. Its name on the wire is `from`, a keyword of Python."""
    to: Timestamp
    """End of work."""


@frozen(kw_only=True, repr=False)
class Shift(Model):
    """A piece of work done by the end user."""

    id: str
    """Id of the shift."""
    created_at: Timestamp
    """When the shift was created."""
    account_id: str
    """Account that the shift belongs to."""
    start_date: date
    """First day of the work."""
    end_date: date
    """Last day of the work."""
    type: ShiftType | str
    """Kind of work."""
    timestamps: tuple[ShiftTimestamp, ...]
    """Pairs of clock times."""
    currency: Currency | str
    """Currency of the earnings: an ISO 4217 code, upper case."""
    earnings: tuple[ShiftEarning, ...]
    """Earnings lines."""
    timezone: str | None = None
    """IANA name of the time zone of the work."""
