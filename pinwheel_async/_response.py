"""Response of the API, which errors hold, too; its repr never shows what it carries."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from pinwheel_async._privacy import Discreet, compared_discreetly, without_locals


class ResponseHeaders(Mapping[str, str], Discreet):
    """Headers of an answer, with names in lower case, found in whatever case; nothing is copied before it is asked for.

    Most answers are asked for two of their headers: to copy all of them took a tenth of a call's own time.
    """

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return self._headers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._headers

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, or *default*."""
        return self._headers.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([name.lower() for name in self._headers]))

    def __len__(self) -> int:
        return len({name.lower() for name in self._headers})

    def __reduce__(self) -> Any:
        """Pickle and copy what is there, as a plain dict."""
        return dict, (dict(self),)


@compared_discreetly
@frozen(kw_only=True, slots=False)  # attrs fills frozen slots half as fast, and each call makes one
class Response(Discreet):
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Header names in lower case; they are found in whatever case."""
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

    @without_locals
    def json(self) -> Any:
        """Decode the body as plain JSON values, exactly as they came.

        Raises:
            ValueError: The body is not JSON.
        """
        import json  # noqa: PLC0415  # only who asks for raw values pays for a second decoder

        try:
            return json.loads(self.body)
        except ValueError:
            pass
        # Raised here, outside the handler, because the cause holds the body.
        raise ValueError("the body is not JSON")
