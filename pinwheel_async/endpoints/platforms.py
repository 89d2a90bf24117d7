"""Platforms that Link supports."""

from datetime import datetime

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.enums import PlatformType
from pinwheel_async.models.platform import Platform

_LIST = page(
    "list_platforms",
    "/v1/platforms",
    Platform,
    query=("include_esps", "type", "cursor", "limit", "last_updated"),
    kinds={"include_esps": bool, "type": PlatformType, "last_updated": datetime},
)
_GET = item("get_platform", "GET", "/v1/platforms/{platform_id}", Platform)


class PlatformEndpoints(Endpoints):
    """Payroll, time, tax and merchant platforms an end user can log in to."""

    __slots__ = ()

    def list(
        self,
        *,
        include_esps: bool | None = None,
        type: PlatformType | None = None,
        last_updated: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[Platform]:
        """List the platforms that Link supports.

        Args:
            include_esps: Whether to list employers that run a payroll portal of their own as well; no when None.
            type: Only platforms of this kind.
            last_updated: Only platforms changed after this moment; aware.
            limit: Platforms per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {
            "include_esps": include_esps,
            "type": type,
            "cursor": cursor,
            "limit": limit,
            "last_updated": last_updated,
        }
        return self._paged(_LIST, query=query)

    async def get(self, platform_id: Id) -> Platform:
        """Get one platform."""
        return await self._call(_GET, path={"platform_id": platform_id})
