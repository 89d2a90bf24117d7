"""Single objects of an account: identity, income, employment and the direct deposit setup.

The data is there once the matching job has finished, which a webhook tells.
"""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item
from pinwheel_async._core.page import RefreshableMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.models.allocation import DirectDepositAllocations
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Identity
from pinwheel_async.models.income import Income

_GET_IDENTITY = item("get_identity", "GET", "/v1/accounts/{account_id}/identity", Identity, meta=RefreshableMeta)
_GET_INCOME = item("get_income", "GET", "/v1/accounts/{account_id}/income", Income, meta=RefreshableMeta)
_GET_EMPLOYMENT = item(
    "get_employment", "GET", "/v1/accounts/{account_id}/employment", Employment, meta=RefreshableMeta
)
_GET_ALLOCATIONS = item(
    "get_direct_deposit_allocations",
    "GET",
    "/v1/accounts/{account_id}/direct_deposit_allocations",
    DirectDepositAllocations,
    meta=RefreshableMeta,
)


class IdentityEndpoints(Endpoints):
    """Identity of the end user, as the platform of one account has it."""

    __slots__ = ()

    async def get(self, account_id: Id) -> Identity:
        """Get name, birth date, address, emails and phone numbers."""
        return await self._call(_GET_IDENTITY, path={"account_id": account_id})


class IncomeEndpoints(Endpoints):
    """Income from the job of one account."""

    __slots__ = ()

    async def get(self, account_id: Id) -> Income:
        """Get the rate of pay and how often it comes; amounts are minor units of its currency."""
        return await self._call(_GET_INCOME, path={"account_id": account_id})


class EmploymentEndpoints(Endpoints):
    """Employment of one account."""

    __slots__ = ()

    async def get(self, account_id: Id) -> Employment:
        """Get employer, title, status and dates of the job."""
        return await self._call(_GET_EMPLOYMENT, path={"account_id": account_id})


class DirectDepositAllocationsEndpoints(Endpoints):
    """Direct deposit setup of one account: where the pay goes."""

    __slots__ = ()

    async def get(self, account_id: Id) -> DirectDepositAllocations:
        """Get the whole direct deposit setup, one entry per target; amounts are minor units of their currency."""
        return await self._call(_GET_ALLOCATIONS, path={"account_id": account_id})
