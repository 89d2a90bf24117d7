"""Sandbox controls."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.models.account import Account
from pinwheel_async.models.sandbox import SandboxMonitoringStatus, SandboxMonitoringStatusRequest

_OVERRIDE_MONITORING_STATUS = item(
    "override_sandbox_monitoring_status",
    "PATCH",
    "/v1/sandbox/accounts/{account_id}",
    Account,
    body=SandboxMonitoringStatusRequest,
)


class SandboxEndpoints(Endpoints):
    """Forces sandbox accounts into states that are hard to reach otherwise."""

    __slots__ = ()

    async def override_monitoring_status(
        self, account_id: Id, monitoring_status: SandboxMonitoringStatus = "user_action_required"
    ) -> Account:
        """Force the monitoring status of a sandbox account, and get the account.

        Args:
            account_id: The account.
            monitoring_status: The documentation allows no other state than the default.
        """
        request = _validation.request(SandboxMonitoringStatusRequest, {"monitoring_status": monitoring_status})
        return await self._call(_OVERRIDE_MONITORING_STATUS, path={"account_id": account_id}, body=request)
