"""Bill Navigator: the request to deactivate or terminate an end user."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.model import Model

BillNavigatorAction: TypeAlias = Literal["deactivate", "terminate", "deactivated", "terminated"]
"""What to do with an end user's Bill Navigator."""


@frozen(kw_only=True, repr=False)
class BillNavigatorStatusRequest(Model):
    """Changes the Bill Navigator status of an end user. New in 2025-07-08."""

    action: BillNavigatorAction
    """`deactivated`: the user can come back. `terminated`: for good. The schema takes the other two values, too; the
    text does not name them."""
    reason: str | None = None
    """Reason, as free text."""
