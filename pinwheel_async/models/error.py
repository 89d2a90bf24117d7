"""Error types that 4xx and 5xx answers name; the answers themselves become subclasses of `ApiError`."""

from typing import Literal, TypeAlias

ErrorType: TypeAlias = Literal[
    "INVALID_REQUEST_PARAMETERS",
    "RECORD_NOT_FOUND",
    "UNAUTHORIZED_REQUEST",
    "UNKNOWN_ERROR",
]
"""Broad class of an error: `ApiError.type`."""
