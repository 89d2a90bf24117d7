"""Tax forms."""

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen

from pinwheel_async._core.fields import Year
from pinwheel_async._core.model import Model
from pinwheel_async.events._base import Changed, JobEvent, JobName, event
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.products import Product


@frozen(kw_only=True, repr=False)
class TaxFormsParams(Model):
    """What a job for tax forms fetched; all of it is (unverified)."""

    count: int | None = None
    """Number of forms."""
    year: Year | None = None
    """Tax year."""
    document_type: DocumentType | str | None = None
    """Kind of form."""


@event("tax_forms.added")
@frozen(kw_only=True, repr=False)
class TaxFormsAdded(JobEvent):
    """The tax forms of an account were fetched: one event for all of them, again when a refresh finds a change."""

    PRODUCTS: ClassVar[tuple[Product, ...]] = ("tax_forms",)
    JOB: ClassVar[JobName | None] = "tax_forms"

    added: tuple[Changed, ...] = ()
    """Forms that are new, with their `document_type` and `year`."""
    deleted: tuple[Changed, ...] = ()
    """Forms that are gone; apply them before `added`."""
    params: TaxFormsParams | None = None
    """What the job fetched."""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    """Whatever else the payload has, as plain JSON values: not all of it is documented."""
