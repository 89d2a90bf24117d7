"""Shifts of an account."""

from datetime import date

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.shift import Shift

_LIST = page(
    "list_shifts",
    "/v1/accounts/{account_id}/shifts",
    Shift,
    meta=RefreshablePaginationMeta,
    query=("from_start_date", "to_start_date", "from_end_date", "to_end_date", "limit", "cursor"),
    kinds={"from_start_date": date, "to_start_date": date, "from_end_date": date, "to_end_date": date},
)


class ShiftEndpoints(Endpoints):
    """Shifts worked. The API has no call for a single one."""

    __slots__ = ()

    def list(
        self,
        account_id: Id,
        *,
        from_start_date: date | None = None,
        to_start_date: date | None = None,
        from_end_date: date | None = None,
        to_end_date: date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[Shift]:
        """List the shifts of an account, newest end date first.

        Args:
            account_id: The account.
            from_start_date: Only shifts that start on this day or later.
            to_start_date: Only shifts that start on this day or earlier.
            from_end_date: Only shifts that end on this day or later.
            to_end_date: Only shifts that end on this day or earlier.
            limit: Shifts per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {
            "from_start_date": from_start_date,
            "to_start_date": to_start_date,
            "from_end_date": from_end_date,
            "to_end_date": to_end_date,
            "limit": limit,
            "cursor": cursor,
        }
        return self._paged(_LIST, path={"account_id": account_id}, query=query)
