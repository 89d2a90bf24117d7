"""Paycheck viewer."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen

from pinwheel_async.events._base import JobEvent, JobName, event


@event("paycheck_viewer.added")
@frozen(kw_only=True, repr=False)
class PaycheckViewerAdded(JobEvent):
    """The job of the paycheck viewer ended. The event's name is documented; its payload is (unverified)."""

    JOB: ClassVar[JobName | None] = "paycheck_viewer"

    params: Mapping[str, Any] | None = None
    """Parameters of the job."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: nothing of it is documented."""
