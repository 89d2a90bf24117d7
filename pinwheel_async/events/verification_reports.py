"""Verification reports of an end user."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.events._base import EndUserEvent, event

ReportStatus: TypeAlias = Literal["available", "unavailable"]
"""Whether a report can be fetched."""


@frozen(kw_only=True, repr=False)
class ReportAvailability(Model):
    """Whether one kind of report can be fetched, and how fresh it is."""

    status: ReportStatus | str
    """Whether it can be fetched."""
    updated_at: Timestamp | None = None
    """When the data of the report last changed."""
    refreshed_at: Timestamp | None = None
    """When the data of the report was last checked."""


@frozen(kw_only=True, repr=False)
class ReportsAvailability(Model):
    """Which reports of an end user can be fetched."""

    voe: ReportAvailability
    """Verification of employment."""
    voie: ReportAvailability
    """Verification of income and employment."""


@event("verification_reports.refreshed")
@frozen(kw_only=True, repr=False)
class VerificationReportsRefreshed(EndUserEvent):
    """The verification reports of an end user, over all accounts, were made again."""

    availability: ReportsAvailability
    """Which reports can be fetched."""
