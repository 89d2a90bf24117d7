"""Requests and responses as values of plain types; their reprs never show what they carry."""

from typing import Literal

from attrs import field, frozen

from pinwheel_async._privacy import Discreet, Unpicklable, compared_discreetly
from pinwheel_async._response import Response, ResponseHeaders

__all__ = ["Auth", "Request", "Response", "ResponseHeaders", "SignedLink"]

Auth = Literal["secret", "bearer", "none"]


@compared_discreetly
@frozen(kw_only=True, slots=False)  # attrs fills frozen slots half as fast, and each call makes one
class Request(Discreet):
    """One HTTP request, without host, secret and version: those belong to the client that sends it."""

    endpoint: str
    """Method and path template: what may be logged."""
    method: str
    target: str = field(repr=False)
    """Path and query, percent-encoded, beginning with a slash."""
    body: bytes | None = field(default=None, repr=False)
    """JSON, or None for no body."""
    bearer: str | None = field(default=None, repr=False)
    """Admin token, for the endpoints that want it instead of the secret."""
    version: str | None = field(default=None, repr=False)
    """API version for this request only, instead of the client's."""


class SignedLink(Unpicklable, Discreet):
    """Holds a link that needs no other credentials, where no repr and no traceback shows it."""

    __slots__ = ("url",)

    def __init__(self, url: str) -> None:
        self.url: str = url
