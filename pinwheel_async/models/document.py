"""Downloadable files, and warnings about what could not be read from them."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model

FieldWarningStatus: TypeAlias = Literal["unparsable"]
"""Why a field has a warning."""


@frozen(kw_only=True, repr=False)
class Document(Model):
    """A handle to a downloadable file. In the sandbox every paystub document has the nil UUID as id."""

    id: str
    """Id of the document."""
    download_url: str | None = None
    """Signed link to the file, good for a short time (900 seconds when seen). It contains credentials: keep it out of
    logs."""
    download_url_expiration: Timestamp | None = None
    """When the link stops working. Asking again makes a new link."""


@frozen(kw_only=True, repr=False)
class FieldWarning(Model):
    """Tells that one field of the answer could not be read."""

    field: str
    """Dotted path of the field."""
    status: FieldWarningStatus | str
    """Kind of warning."""
    message: str
    """Text for humans."""
