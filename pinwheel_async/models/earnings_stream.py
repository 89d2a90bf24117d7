"""Expected and finished payouts of an end user."""

import datetime as dt
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import Currency

PayoutStatus: TypeAlias = Literal["estimated", "processed"]
"""Whether a payout is final."""


@frozen(kw_only=True, repr=False)
class NetPay(Model):
    """An amount of money with its currency."""

    amount: MinorUnits
    """Amount, in the smallest unit of `currency`."""
    currency: Currency | str
    """ISO 4217 code, upper case."""


@frozen(kw_only=True, repr=False)
class EarningsStreamEarning(Model):
    """One day of earnings inside a payout. More fields are possible (unverified)."""

    date: dt.date
    """Day of the earnings."""
    confidence_score: float | None = None
    """Confidence, 0 to 1."""
    net_pay: NetPay | None = None
    """Net pay."""


@frozen(kw_only=True, repr=False)
class EarningsStreamPayout(Model):
    """One expected or finished payout of an end user. Shape since 2023-04-18."""

    status: PayoutStatus | str
    """`estimated`: earned, not final. `processed`: a paystub exists."""
    pay_date: dt.date
    """Day the money lands, with an ACH buffer; a projection while `status` is `estimated`."""
    earnings: tuple[EarningsStreamEarning, ...]
    """Earnings by day."""
    net_pay: NetPay | None = None
    """Net pay of the payout."""
