"""Search for employers and platforms by name."""

from collections.abc import Sequence

from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import ListMeta
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import RequestError
from pinwheel_async.models.enums import JobType, PlatformType
from pinwheel_async.models.search import SearchResult, SearchResultType

_SEARCH = page(
    "search",
    "/v1/search",
    SearchResult,
    meta=ListMeta,
    query=("q", "supported_jobs", "response_types", "amount_supported", "platform_type", "limit"),
    repeated=("supported_jobs", "response_types"),
)


class SearchEndpoints(Endpoints):
    """What the search field of Link finds."""

    __slots__ = ()

    def list(
        self,
        q: str,
        *,
        supported_jobs: Sequence[JobType | str] | None = None,
        response_types: Sequence[SearchResultType | str] | None = None,
        amount_supported: bool | None = None,
        platform_type: PlatformType | str | None = None,
        limit: int | None = None,
    ) -> Paged[SearchResult]:
        """List the employers and platforms whose name matches. There is one page: the API goes no further.

        Args:
            q: The name or a part of it; at least one character.
            supported_jobs: Only results that support these jobs.
            response_types: Only employers or only platforms.
            amount_supported: False leaves out results that support amounts.
            platform_type: Only platforms of this kind.
            limit: Most results, 1 to 100; 25 when None.
        """
        if not q:
            raise RequestError(["q must have at least one character"])
        query = {
            "q": q,
            "supported_jobs": supported_jobs,
            "response_types": response_types,
            "amount_supported": amount_supported,
            "platform_type": platform_type,
            "limit": limit,
        }
        return self._paged(_SEARCH, query=query)
