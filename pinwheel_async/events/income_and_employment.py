"""Employment, identity and income: one record per account each."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import frozen

from pinwheel_async.events._base import JobEvent, JobName, event
from pinwheel_async.products import Product


@event("employment.added")
@frozen(kw_only=True, repr=False)
class EmploymentAdded(JobEvent):
    """The employment of an account was fetched, or changed since. Often among the last events of a connection."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("employment",)
    JOB: ClassVar[JobName | None] = "employment"

    params: Mapping[str, Any] | None = None
    """Parameters of the job; none are documented, and it comes as an empty object."""


@event("identity.added")
@frozen(kw_only=True, repr=False)
class IdentityAdded(JobEvent):
    """The identity data of an account was fetched, or changed since. Comes within seconds after the login."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("identity",)
    JOB: ClassVar[JobName | None] = "identity"

    params: Mapping[str, Any] | None = None
    """Parameters of the job; none are documented, and it comes as an empty object."""


@event("income.added")
@frozen(kw_only=True, repr=False)
class IncomeAdded(JobEvent):
    """The income of an account was fetched, or changed since. Comes within seconds after the login."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("income",)
    JOB: ClassVar[JobName | None] = "income"

    params: Mapping[str, Any] | None = None
    """Parameters of the job; none are documented, and it comes as an empty object."""
