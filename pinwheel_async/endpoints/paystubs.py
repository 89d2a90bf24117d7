"""Paystubs of an account."""

from datetime import date

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.paystub import Paystub

_LIST = page(
    "list_paystubs",
    "/v1/accounts/{account_id}/paystubs",
    Paystub,
    meta=RefreshablePaginationMeta,
    query=("from_pay_date", "to_pay_date", "cursor", "limit"),
    kinds={"from_pay_date": date, "to_pay_date": date},
)
_GET = item("get_paystub", "GET", "/v1/accounts/{account_id}/paystubs/{paystub_id}", Paystub)


class PaystubEndpoints(Endpoints):
    """Paystubs, with earnings, taxes and deductions; amounts are minor units of each paystub's currency."""

    __slots__ = ()

    def list(
        self,
        account_id: Id,
        *,
        from_pay_date: date | None = None,
        to_pay_date: date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[Paystub]:
        """List the paystubs of an account, newest pay date first.

        While an account syncs for the first time the list still grows: `paystubs.fully_synced` says when it is whole.

        Args:
            account_id: The account.
            from_pay_date: Only pay dates after this day; whether the day itself counts is not documented.
            to_pay_date: Only pay dates up to this day, inclusive when seen.
            limit: Paystubs per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {"from_pay_date": from_pay_date, "to_pay_date": to_pay_date, "cursor": cursor, "limit": limit}
        return self._paged(_LIST, path={"account_id": account_id}, query=query)

    async def get(self, *, account_id: Id, paystub_id: Id) -> Paystub:
        """Get one paystub. Each call makes a new URL of its document, valid for 15 minutes."""
        return await self._call(_GET, path={"account_id": account_id, "paystub_id": paystub_id})
