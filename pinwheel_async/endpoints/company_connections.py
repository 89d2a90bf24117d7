"""Company Connect: payroll data of a whole company, connected by the employer."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.company_connect import (
    CompanyConnection,
    CompanyConnectionRequest,
    CompanyConnectJob,
    CompanyConnectLinkToken,
    CompanyConnectLinkTokenRequest,
    CompanyConnectOptions,
    CompanyEmployment,
    CompanyIdentity,
    CompanyIncome,
    CompanyPaystub,
)
from pinwheel_async.models.enums import Language

_LIST = page("list_company_connections", "/v1/company_connections", CompanyConnection)
_CREATE = item(
    "create_company_connection",
    "POST",
    "/v1/company_connections",
    CompanyConnection,
    body=CompanyConnectionRequest,
)
_GET = item("get_company_connection", "GET", "/v1/company_connections/{company_connection_id}", CompanyConnection)
_LIST_CENSUS = page("list_company_census", "/v1/company_connections/{company_connection_id}/census", CompanyIdentity)
_LIST_EMPLOYMENTS = page(
    "list_company_employments", "/v1/company_connections/{company_connection_id}/employments", CompanyEmployment
)
_LIST_INCOMES = page("list_company_incomes", "/v1/company_connections/{company_connection_id}/incomes", CompanyIncome)
_LIST_PAYSTUBS = page(
    "list_company_paystubs",
    "/v1/company_connections/{company_connection_id}/paystubs/{employee_external_id}",
    CompanyPaystub,
    query=("from_pay_date", "to_pay_date", "cursor", "limit"),
    kinds={"from_pay_date": date, "to_pay_date": date},
)
_CREATE_LINK_TOKEN = item(
    "create_company_connect_link_token",
    "POST",
    "/v1/company_connect/link_tokens",
    CompanyConnectLinkToken,
    body=CompanyConnectLinkTokenRequest,
    repeatable=True,  # as any Link token
)


class CompanyConnectionEndpoints(Endpoints):
    """Connections to the payroll systems of companies, and what they hold about the employees."""

    __slots__ = ()

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Paged[CompanyConnection]:
        """List the company connections.

        Args:
            limit: Connections per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        return self._paged(_LIST, query={"cursor": cursor, "limit": limit})

    async def create(self, company_name: str) -> CompanyConnection:
        """Create a connection, which the company then opens with a link token."""
        request = _validation.request(CompanyConnectionRequest, {"company_name": company_name})
        return await self._call(_CREATE, body=request)

    async def get(self, company_connection_id: Id) -> CompanyConnection:
        """Get one company connection."""
        return await self._call(_GET, path={"company_connection_id": company_connection_id})

    def list_census(
        self, company_connection_id: Id, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[CompanyIdentity]:
        """List the employees of a company.

        Args:
            company_connection_id: The connection.
            limit: Employees per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        path = {"company_connection_id": company_connection_id}
        return self._paged(_LIST_CENSUS, path=path, query={"cursor": cursor, "limit": limit})

    def list_employments(
        self, company_connection_id: Id, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[CompanyEmployment]:
        """List the employments of a company.

        Args:
            company_connection_id: The connection.
            limit: Employments per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        path = {"company_connection_id": company_connection_id}
        return self._paged(_LIST_EMPLOYMENTS, path=path, query={"cursor": cursor, "limit": limit})

    def list_incomes(
        self, company_connection_id: Id, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[CompanyIncome]:
        """List what a company pays; amounts are minor units of their currency.

        Args:
            company_connection_id: The connection.
            limit: Incomes per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        path = {"company_connection_id": company_connection_id}
        return self._paged(_LIST_INCOMES, path=path, query={"cursor": cursor, "limit": limit})

    def list_paystubs(
        self,
        *,
        company_connection_id: Id,
        employee_external_id: Id,
        from_pay_date: date | None = None,
        to_pay_date: date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[CompanyPaystub]:
        """List the paystubs of one employee of a company; amounts are minor units of their currency.

        Args:
            company_connection_id: The connection.
            employee_external_id: The company's own id of the employee, from the census; free text.
            from_pay_date: Only pay dates after this day; whether the day itself counts is not documented.
            to_pay_date: Only pay dates before this day; whether the day itself counts is not documented.
            limit: Paystubs per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        path = {"company_connection_id": company_connection_id, "employee_external_id": employee_external_id}
        query = {"from_pay_date": from_pay_date, "to_pay_date": to_pay_date, "cursor": cursor, "limit": limit}
        return self._paged(_LIST_PAYSTUBS, path=path, query=query)

    async def create_link_token(
        self,
        *,
        org_name: str,
        required_jobs: Collection[CompanyConnectJob] | None = None,
        company_connect: CompanyConnectOptions | Mapping[str, Any] | None = None,
        platform_id: Id | None = None,
        skip_intro_screen: bool = False,
        language: Language = "en",
    ) -> CompanyConnectLinkToken:
        """Create a token with which a company opens Link. It lives for a short time and works once.

        Args:
            org_name: App name shown in Link; 3 to 30 characters.
            required_jobs: Jobs to run; platforms that lack one of them are hidden.
            company_connect: The connection to use, if there is one already; a dict of the same fields will do.
            platform_id: Platform to open Link at.
            skip_intro_screen: Whether to skip the first screen.
            language: Language of Link.

        Raises:
            RequestError: `org_name` is too short or too long.
        """
        fields = {
            "org_name": org_name,
            "required_jobs": required_jobs,
            "skip_intro_screen": skip_intro_screen,
            "platform_id": platform_id,
            "language": language,
            "company_connect": company_connect,
        }
        request = _validation.request(CompanyConnectLinkTokenRequest, fields, _problems)
        return await self._call(_CREATE_LINK_TOKEN, body=request)


def _problems(request: CompanyConnectLinkTokenRequest) -> Iterator[str]:
    yield from _validation.text("org_name", request.org_name, 3, 30)
