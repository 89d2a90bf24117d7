"""Employers that Link supports."""

from datetime import datetime

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.employer import Employer

_LIST = page(
    "list_employers",
    "/v1/employers",
    Employer,
    query=("cursor", "limit", "last_updated"),
    kinds={"last_updated": datetime},
)
_GET = item("get_employer", "GET", "/v1/employers/{employer_id}", Employer)
_LOOKUP = item("lookup_employer", "GET", "/v1/employers/lookup", Employer, query=("ein",))


class EmployerEndpoints(Endpoints):
    """Employers an end user can pick in Link."""

    __slots__ = ()

    def list(
        self, *, last_updated: datetime | None = None, limit: int | None = None, cursor: str | None = None
    ) -> Paged[Employer]:
        """List the employers that Link supports.

        Args:
            last_updated: Only employers changed after this moment; aware.
            limit: Employers per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        return self._paged(_LIST, query={"cursor": cursor, "limit": limit, "last_updated": last_updated})

    async def get(self, employer_id: Id) -> Employer:
        """Get one employer."""
        return await self._call(_GET, path={"employer_id": employer_id})

    async def lookup(self, ein: str) -> Employer:
        """Find the employer with an Employer Identification Number.

        Args:
            ein: Nine digits, without the dash.
        """
        _validation.refuse([*_validation.given("ein", ein), *_validation.digits("ein", ein, 9, 9)])
        return await self._call(_LOOKUP, query={"ein": ein})
