"""Documents that end users uploaded."""

from datetime import date
from typing import ClassVar

from attrs import frozen

from pinwheel_async._core.fields import Timestamp, Year
from pinwheel_async._core.model import Model
from pinwheel_async.events._base import EndUserEvent, JobErrorType, JobName, event
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.models.job import JobOutcome


@frozen(kw_only=True, repr=False)
class DocumentsParams(Model):
    """What a document turned out to be."""

    document_type: DocumentType | str | None = None
    """Kind of document; new kinds come without a new version."""
    year: Year | None = None
    """Tax year (unverified)."""
    pay_date: date | None = None
    """Day the pay arrived (unverified)."""


@event("documents.added")
@frozen(kw_only=True, repr=False)
class DocumentsAdded(EndUserEvent):
    """An uploaded document was read, or refused: one event per document. It belongs to the end user, to no account.

    A file that the virus scan refused has the outcome `error`.
    """

    JOB: ClassVar[JobName | None] = "document_uploads"

    document_id: str
    """Document, to fetch it by."""
    name: JobName | str
    """Name of the job: `document_uploads`."""
    timestamp: Timestamp
    """When the job ended."""
    outcome: JobOutcome | str
    """How the job ended, or that it is pending."""
    id: str | None = None
    """Id of the job."""
    error_code: str | None = None
    """Specific error, stable for programs; an open list. Null on success."""
    error_type: JobErrorType | str | None = None
    """Broad class of the error. Null on success."""
    link_token_id: str | None = None
    """Link token of the session."""
    params: DocumentsParams | None = None
    """What the document turned out to be."""

    @property
    def succeeded(self) -> bool:
        """Whether there is a document to fetch."""
        return self.outcome == "success"
