"""Company Connect: the employer's side. These events name no end user and no account."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async.events._base import Event, JobErrorType, event
from pinwheel_async.models.company_connect import CompanyConnectionStatus
from pinwheel_async.models.job import JobOutcome


@frozen(kw_only=True, repr=False)
class CompanyConnectEvent(Event):
    """Something about the payroll connection of a company."""

    company_connection_id: str
    """Company connection that the event is about."""
    company_name: str
    """Name that you gave to the connection."""


@frozen(kw_only=True, repr=False)
class CompanyConnectDataEvent(CompanyConnectEvent):
    """Data of a company's employees was fetched, or could not be."""

    outcome: JobOutcome | str
    """How the job ended, or that it is pending."""
    error_code: str | None = None
    """Specific error, stable for programs; an open list. Null on success."""
    error_type: JobErrorType | str | None = None
    """Broad class of the error. Null on success."""
    added: tuple[str, ...] = ()
    """Ids of employees that are new: text, whose leading zeros matter."""
    updated: tuple[str, ...] = ()
    """Ids of employees whose data changed."""
    deleted: tuple[str, ...] = ()
    """Ids of employees that are gone."""

    @property
    def succeeded(self) -> bool:
        """Whether there is something new to fetch; false for errors and for what is pending."""
        return self.outcome == "success"


@event("company_connect.census.added")
@frozen(kw_only=True, repr=False)
class CompanyConnectCensusAdded(CompanyConnectDataEvent):
    """The census of a company was fetched, or changed since."""


@event("company_connect.employments.added")
@frozen(kw_only=True, repr=False)
class CompanyConnectEmploymentsAdded(CompanyConnectDataEvent):
    """The employments of a company were fetched, or changed since."""


@event("company_connect.incomes.added")
@frozen(kw_only=True, repr=False)
class CompanyConnectIncomesAdded(CompanyConnectDataEvent):
    """The incomes of a company were fetched, or changed since."""


@event("company_connect.status.updated")
@frozen(kw_only=True, repr=False)
class CompanyConnectStatusUpdated(CompanyConnectEvent):
    """The connection of a company has a new state."""

    status: CompanyConnectionStatus | str | None = None
    """The new state; the name of this key is (unverified)."""
    status_updated_at: Timestamp | None = None
    """When the state changed (unverified)."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""
