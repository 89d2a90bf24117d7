"""Earnings stream of an end user: payouts expected and paid."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import FreshnessPaginationMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.earnings_stream import EarningsStreamPayout

_LIST = page(
    "list_earnings_stream_payouts",
    "/v1/end_users/{end_user_id}/earnings_stream/payouts",
    EarningsStreamPayout,
    meta=FreshnessPaginationMeta,
)


class EarningsStreamEndpoints(Endpoints):
    """Payouts of an end user over all accounts."""

    __slots__ = ()

    def list(
        self, end_user_id: Id, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[EarningsStreamPayout]:
        """List expected and finished payouts. Amounts are minor units of their currency.

        Args:
            end_user_id: Your own id of the user; blanks at its ends are removed, as the server does.
            limit: Payouts per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        return self._paged(_LIST, path={"end_user_id": end_user_id}, query={"cursor": cursor, "limit": limit})
