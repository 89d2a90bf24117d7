"""Jobs that Link started."""

from collections.abc import Collection
from datetime import datetime

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import page
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.enums import JobType
from pinwheel_async.models.job import Job, JobOutcome

_LIST = page(
    "list_jobs",
    "/v1/jobs",
    Job,
    query=(
        "link_token_id",
        "account_id",
        "job_types",
        "outcome",
        "limit",
        "cursor",
        "from_timestamp",
        "to_timestamp",
    ),
    repeated=("job_types",),
    kinds={"job_types": JobType, "outcome": JobOutcome, "from_timestamp": datetime, "to_timestamp": datetime},
)


class JobEndpoints(Endpoints):
    """Finished jobs: what Link was asked to fetch or to switch."""

    __slots__ = ()

    def list(
        self,
        *,
        link_token_id: Id | None = None,
        account_id: Id | None = None,
        job_types: Collection[JobType] | None = None,
        outcome: JobOutcome | None = None,
        from_timestamp: datetime | None = None,
        to_timestamp: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Paged[Job]:
        """List finished jobs that Link started. Background refreshes are jobs, too, but are never listed.

        Args:
            link_token_id: Only jobs of this link token.
            account_id: Only jobs of this account.
            job_types: Only jobs of these types.
            outcome: Only jobs that ended like this.
            from_timestamp: Only jobs since this moment; aware.
            to_timestamp: Only jobs until this moment; aware.
            limit: Jobs per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        query = {
            "link_token_id": link_token_id,
            "account_id": account_id,
            "job_types": job_types,
            "outcome": outcome,
            "limit": limit,
            "cursor": cursor,
            "from_timestamp": from_timestamp,
            "to_timestamp": to_timestamp,
        }
        return self._paged(_LIST, query=query)
