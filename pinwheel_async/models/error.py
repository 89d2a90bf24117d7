"""The body of 4xx and 5xx answers."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Model

ErrorType: TypeAlias = Literal[
    "INVALID_REQUEST_PARAMETERS",
    "RECORD_NOT_FOUND",
    "UNAUTHORIZED_REQUEST",
    "UNKNOWN_ERROR",
]
"""Broad class of an error."""


@frozen(kw_only=True, repr=False)
class ErrorField(Model):
    """One validation error. Its structure may change at any time."""

    name: str | None = None
    """Field of the request."""
    message: str | None = None
    """Text for humans."""


@frozen(kw_only=True, repr=False)
class ErrorBody(Model):
    """What went wrong, for programs and for humans."""

    type: ErrorType | str
    """Broad class of the error."""
    code: str
    """Specific error; stable, for programs."""
    message: str
    """Text for humans."""
    status_code: int
    """HTTP status again."""
    fields: tuple[ErrorField, ...] | None = None
    """Validation errors; for humans only."""


@frozen(kw_only=True, repr=False)
class ErrorEnvelope(Model):
    """The body of a JSON answer with a 4xx or 5xx status."""

    error: ErrorBody
    """The error."""
