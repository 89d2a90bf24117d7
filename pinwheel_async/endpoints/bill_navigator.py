"""Bill Navigator: deactivating and terminating end users."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import nothing
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.models.bill_navigator import BillNavigatorAction, BillNavigatorStatusRequest

_UPDATE_STATUS = nothing(
    "update_bill_navigator_status",
    "PUT",
    "/v1/end_users/{end_user_id}/bill_navigator/status",
    body=BillNavigatorStatusRequest,
)


class BillNavigatorEndpoints(Endpoints):
    """The state of end users in Bill Navigator."""

    __slots__ = ()

    async def update_status(self, end_user_id: Id, *, action: BillNavigatorAction, reason: str | None = None) -> None:
        """Deactivate or terminate an end user in Bill Navigator.

        Args:
            end_user_id: Your own id of the user; blanks at its ends are removed, as the server does.
            action: `deactivated`, after which the user can come back, or `terminated`, which is for good.
            reason: Why, in free text.
        """
        request = _validation.request(BillNavigatorStatusRequest, {"action": action, "reason": reason})
        del reason
        await self._call(_UPDATE_STATUS, path={"end_user_id": end_user_id}, body=request)
