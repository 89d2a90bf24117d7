"""Accounts: the connections of end users to payroll platforms."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, nothing, page
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.account import Account, MonitoringStatus

_LIST = page(
    "list_accounts",
    "/v1/accounts",
    Account,
    query=("cursor", "limit", "connected", "monitoring_status"),
    kinds={"connected": bool, "monitoring_status": MonitoringStatus},
)
_LIST_FOR_END_USER = page("list_end_user_accounts", "/v1/end_users/{end_user_id}/accounts", Account)
_GET = item("get_account", "GET", "/v1/accounts/{account_id}", Account)
_DISABLE_MONITORING = nothing("disable_monitoring", "POST", "/v1/accounts/{account_id}/disable_monitoring")
_DISCONNECT = nothing("disconnect_account", "POST", "/v1/accounts/{account_id}/disconnect")


class AccountEndpoints(Endpoints):
    """Accounts that end users connected."""

    __slots__ = ()

    def list(
        self,
        *,
        connected: bool | None = None,
        monitoring_status: MonitoringStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[Account]:
        """List the accounts of the workspace.

        Args:
            connected: Only connected (True) or only disconnected (False) accounts; both when None.
            monitoring_status: Only accounts in this state of background monitoring.
            limit: Accounts per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {"cursor": cursor, "limit": limit, "connected": connected, "monitoring_status": monitoring_status}
        return self._paged(_LIST, query=query)

    def list_for_end_user(
        self, end_user_id: Id, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[Account]:
        """List the accounts of one end user.

        Args:
            end_user_id: Your own id of the user; blanks at its ends are removed, as the server does.
            limit: Accounts per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {"cursor": cursor, "limit": limit}
        return self._paged(_LIST_FOR_END_USER, path={"end_user_id": end_user_id}, query=query)

    async def get(self, account_id: Id) -> Account:
        """Get one account, with the times at which each kind of its data was last refreshed and last changed."""
        return await self._call(_GET, path={"account_id": account_id})

    async def disable_monitoring(self, account_id: Id) -> None:
        """Stop the background refresh of an account."""
        await self._call(_DISABLE_MONITORING, path={"account_id": account_id})

    async def disconnect(self, account_id: Id) -> None:
        """Disconnect an account for good: this cannot be undone.

        What was fetched before stays readable; earnings streams do not.
        """
        await self._call(_DISCONNECT, path={"account_id": account_id})
