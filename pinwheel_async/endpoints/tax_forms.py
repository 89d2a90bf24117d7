"""Tax forms of an account."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.tax_form import TaxForm, TaxFormSummary

_LIST = page(
    "list_tax_forms",
    "/v1/accounts/{account_id}/tax_forms",
    TaxFormSummary,
    meta=RefreshablePaginationMeta,
    query=("from_year", "to_year", "cursor", "limit"),
    kinds={"from_year": int, "to_year": int},
)
_GET = item(
    "get_tax_form",
    "GET",
    "/v1/accounts/{account_id}/tax_forms/{tax_form_id}",
    TaxForm,
    query=("with_parsed_data",),
    kinds={"with_parsed_data": bool},
)


class TaxFormEndpoints(Endpoints):
    """Tax forms: summaries in the list, documents one by one."""

    __slots__ = ()

    def list(
        self,
        account_id: Id,
        *,
        from_year: int | None = None,
        to_year: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[TaxFormSummary]:
        """List the tax forms of an account, newest year first, without their documents.

        Args:
            account_id: The account.
            from_year: Only forms of this year or later.
            to_year: Only forms of this year or earlier.
            limit: Forms per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {"from_year": from_year, "to_year": to_year, "cursor": cursor, "limit": limit}
        return self._paged(_LIST, path={"account_id": account_id}, query=query)

    async def get(self, *, account_id: Id, tax_form_id: Id, with_parsed_data: bool | None = None) -> TaxForm:
        """Get one tax form with its document. Every call is billed.

        Args:
            account_id: The account.
            tax_form_id: Id from the list.
            with_parsed_data: Whether to read the numbers out of the document as well; works for a W-2 only.
        """
        path = {"account_id": account_id, "tax_form_id": tax_form_id}
        return await self._call(_GET, path=path, query={"with_parsed_data": with_parsed_data})
