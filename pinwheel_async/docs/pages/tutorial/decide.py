"""Decision: waits until the income of a person is ready, then decides about their loan."""

from typing import Literal

from pinwheel_async import NotFoundError, Pinwheel, Product
from pinwheel_async.webhooks import NotReadyError, Readiness

Decision = Literal["accepted", "declined", "by hand", "later"]

NEEDED: tuple[Product, ...] = ("income",)

_PER_YEAR = {
    "hourly": 2_080,
    "daily": 260,
    "weekly": 52,
    "bi-weekly": 26,
    "semi-monthly": 24,
    "monthly": 12,
    "semi-weekly": 104,
    "annually": 1,
}
"""How many units of pay a full year has, for the units of which that can be said."""


async def decide(
    pinwheel: Pinwheel, readiness: Readiness, end_user_id: str, *, at_least_cents: int, timeout_s: float = 60.0
) -> Decision:
    """Decide by the income of all accounts that a person has connected.

    What cannot be decided by numbers goes to a person: there is no income, or it is paid by another unit.
    """
    try:
        states = await readiness.wait(end_user_id=end_user_id, products=NEEDED, timeout_s=timeout_s)
    except NotReadyError:
        return "later"
    total = 0
    for state in states:
        if "income" not in state.succeeded:
            return "by hand"
        try:
            income = await pinwheel.income.get(state.account_id)
        except NotFoundError:
            return "by hand"
        units = _PER_YEAR.get(income.compensation_unit)
        if units is None or income.currency != "USD":
            return "by hand"
        total += units * income.compensation_amount
    return "accepted" if total >= at_least_cents else "declined"
