"""Search for employers and platforms by name."""

from collections.abc import Collection

from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import ListMeta
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.enums import JobType, PlatformType
from pinwheel_async.models.search import SearchResult, SearchResultType

_SEARCH = page(
    "search",
    "/v1/search",
    SearchResult,
    meta=ListMeta,
    query=("q", "supported_jobs", "response_types", "amount_supported", "platform_type", "limit"),
    repeated=("supported_jobs", "response_types"),
    kinds={
        "supported_jobs": JobType,
        "response_types": SearchResultType,
        "amount_supported": bool,
        "platform_type": PlatformType,
    },
)


class SearchEndpoints(Endpoints):
    """What the search field of Link finds."""

    __slots__ = ()

    def list(
        self,
        q: str,
        *,
        supported_jobs: Collection[JobType] | None = None,
        response_types: Collection[SearchResultType] | None = None,
        amount_supported: bool | None = None,
        platform_type: PlatformType | None = None,
        limit: int | None = None,
    ) -> Paged[SearchResult]:
        """List the employers and platforms whose name matches. There is one page: the API goes no further.

        Args:
            q: The name or a part of it. The documentation asks for at least one character; empty text is sent as it is.
            supported_jobs: Only results that support these jobs.
            response_types: Only employers or only platforms.
            amount_supported: False leaves out results that support amounts.
            platform_type: Only platforms of this kind.
            limit: Most results, 1 to 100; 25 when None.
        """
        _validation.refuse(_validation.given("q", q))
        query = {
            "q": q,
            "supported_jobs": supported_jobs,
            "response_types": response_types,
            "amount_supported": amount_supported,
            "platform_type": platform_type,
            "limit": limit,
        }
        return self._paged(_SEARCH, query=query)
