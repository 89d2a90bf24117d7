"""Version lifts: small pure steps that turn what an older API version says into the newest shape.

A step looks at the shape, too, so that it does nothing to what is already new. The facts are those
of the API's own version history.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from attrs import frozen

from pinwheel_async._core.fields import is_list, is_object

Json = dict[str, Any]

FIRST_ENVELOPE = "2021-04-29"
"""First version whose answers have an envelope of `data` and `meta`."""


@frozen
class Step:
    """One step: lifts objects of one kind to the shape that a version brought."""

    kind: str
    """Class name of the model, or name of the event."""
    to: str
    """First version that has the new shape."""
    lift: Callable[[Json], Json]
    by_shape: bool = False
    """Whether any object of the old shape is lifted, because the newest class cannot hold it. Otherwise only what an
    older version says is lifted, or the fast path, which lifts nothing, would read the same object differently."""


def lift_envelope(payload: Any) -> tuple[Any, Any]:
    """Return data and meta of an answer; before 2021-04-29 there was no envelope, only bare objects and arrays."""
    answer = as_object(payload)
    return (payload, None) if "data" not in answer else (answer["data"], answer.get("meta"))


def as_object(value: Any) -> Json:
    """Return a JSON object as it is; anything else counts as an empty one."""
    return value if is_object(value) else {}


def lift_link_token(token: Json) -> Json:
    """Turn `token_id` into `id` and Unix seconds in `expires` into a moment."""
    lifted = dict(token)
    if "id" not in lifted and "token_id" in lifted:
        lifted["id"] = lifted.pop("token_id")
    expires = lifted.get("expires")
    if isinstance(expires, int | float) and not isinstance(expires, bool) and 0 <= expires < 1e11:
        lifted["expires"] = datetime.fromtimestamp(expires, UTC).isoformat()
    return lifted


def lift_switch_amount(job: Json) -> Json:
    """Turn `params.amount` into `params.allocation`; the number is passed on as it came."""
    params = as_object(job.get("params"))
    if "amount" not in params or params.get("allocation") is not None:
        return job
    rest = {name: value for name, value in params.items() if name != "amount"}
    amount = params["amount"]
    allocation = None if amount is None else {"type": "amount", "value": amount, "target": None}
    return {**job, "params": {**rest, "allocation": allocation}}


_TAX_CATEGORIES = {"state": "state_income", "local": "local_income"}


def lift_paystub(paystub: Json) -> Json:
    """Rename two tax categories, write the currency in upper case, and add the empty time-off list."""
    if "taxes" not in paystub:
        return paystub
    lifted: Json = {"time_off": [], **paystub}
    currency: Any = lifted.get("currency")
    if isinstance(currency, str):
        lifted["currency"] = currency.upper()
    taxes: Any = lifted["taxes"]
    if is_list(taxes):
        lifted["taxes"] = [_lift_tax(tax) for tax in taxes]
    return lifted


def _lift_tax(tax: Any) -> Any:
    category: Any = as_object(tax).get("category")
    renamed = _TAX_CATEGORIES.get(category) if isinstance(category, str) else None
    return {**tax, "category": renamed} if renamed else tax


STEPS = (
    Step("LinkToken", "2021-07-28", lift_link_token, by_shape=True),
    Step("Paystub", "2022-03-02", lift_paystub),
    Step("Job", "2023-11-22", lift_switch_amount),
    Step("direct_deposit_switch.added", "2023-11-22", lift_switch_amount),
)


@cache
def lifted_before(kind: str) -> str:
    """Return the version before which objects of a kind may have an older shape; empty if they always had today's."""
    return max([step.to for step in STEPS if step.kind == kind], default="")


def lift(kind: str, payload: Any, version: str) -> Any:
    """Lift one object that a version said to the newest shape; what is no object is left to the decoder to refuse."""
    if not is_object(payload):
        return payload
    lifted = payload
    for step in STEPS:
        if step.kind == kind and (step.by_shape or version < step.to):
            lifted = step.lift(lifted)
    return lifted
