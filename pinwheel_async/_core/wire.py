"""What goes over the wire, as values of plain types; their reprs never show what they carry."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

Auth = Literal["secret", "bearer", "none"]


@frozen(kw_only=True)
class Request:
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
    version: str | None = None
    """API version for this request only, instead of the client's."""


@frozen(kw_only=True)
class Response:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Header names in lower case."""
    body: bytes = field(repr=False)
    """The bytes that came, undecoded."""

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange."""
        return self.headers.get("x-pinwheel-request-id")

    @property
    def version(self) -> str | None:
        """The API version that the server says it used."""
        return self.headers.get("pinwheel-version")

    def json(self) -> Any:
        """Decode the body as plain JSON values, exactly as they came.

        Raises:
            ValueError: The body is not JSON.
        """
        import json  # noqa: PLC0415  # only who asks for raw values pays for a second decoder

        return json.loads(self.body)
