"""Documents of end users, and what was read from them."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.document import Document, FieldWarning
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.models.tax_form import TaxFormW2
from pinwheel_async.models.uploaded import UploadedBankStatement, UploadedPaystub, UploadedSSIAwardLetter, UploadedW2

FraudStatus: TypeAlias = Literal["suspected", "not_suspected", "unavailable"]
"""Verdict about a document."""


PARSED_DATA: Mapping[str, type[Model]] = {
    "paystub": UploadedPaystub,
    "bank_statement": UploadedBankStatement,
    "ssi_award_letter": UploadedSSIAwardLetter,
    "w2": UploadedW2,
    "W-2": TaxFormW2,
}
"""The shape of `EndUserDocument.parsed_data` by `document_type`. 2023-11-22 has `paystub` and `W-2`; 2025-07-08 has all
but `W-2`."""


@frozen(kw_only=True, repr=False)
class DocumentFraud(Model):
    """A fraud verdict about an uploaded document."""

    status: FraudStatus | str
    """The verdict."""


@frozen(kw_only=True, repr=False)
class EndUserDocument(Model):
    """A document that belongs to an end user: an upload, a deposit form or a report."""

    id: str
    """Id of the document. Not in 2023-11-22."""
    created_at: Timestamp
    """When the document was created."""
    end_user_id: str
    """Your own user id: 1 to 255 characters, stripped of whitespace at the ends, no personal data."""
    document: Document
    """Handle to the file."""
    document_type: DocumentType | str
    """Kind of document; it decides the shape of `parsed_data`."""
    parsed_data: (
        UploadedPaystub
        | UploadedBankStatement
        | UploadedSSIAwardLetter
        | UploadedW2
        | TaxFormW2
        | Mapping[str, Any]
        | None
    ) = field(default=None, metadata={"by": "document_type", "classes": PARSED_DATA})
    """Data read from the document. `PARSED_DATA` names the shape by `document_type`; a type without a known shape keeps
    its raw object."""
    warnings: tuple[FieldWarning, ...] | None = None
    """Fields that could not be read."""
    fraud: DocumentFraud | None = None
    """Fraud verdict."""
