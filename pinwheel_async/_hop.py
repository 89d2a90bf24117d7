"""Where one request goes and which headers it carries: credentials stay with the host that they are for."""

import re

from attrs import frozen
from multidict import CIMultiDict
from yarl import URL

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.wire import Auth, Request, Response
from pinwheel_async._version import library_version
from pinwheel_async.errors import RequestError
from pinwheel_async.settings import Settings

_CREDENTIALS = ("x-api-secret", "authorization")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Secret:
    """Holds a secret where no repr and no traceback shows it."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        """Return the same for all secrets."""
        return "<Secret>"


@frozen(repr=False)
class Hop:
    """One request's address and headers. Its repr shows neither, so frames may hold it."""

    url: URL
    headers: CIMultiDict[str]


class Hops:
    """Makes first hops; headers are built once per kind of request and reused."""

    def __init__(self, secret: Secret, settings: Settings) -> None:
        self._secret = secret
        self._base_url = settings.base_url
        self._version = settings.version
        self._headers: dict[tuple[Auth, str, bool], CIMultiDict[str]] = {}

    def first(self, auth: Auth, request: Request) -> Hop:
        """Return where a request goes first.

        Raises:
            RequestError: The version or the admin token cannot stand in a header.
        """
        key = (auth, request.version or self._version, request.body is not None)
        if key not in self._headers:
            self._headers[key] = self._new_headers(*key)
        headers = self._headers[key]
        if auth == "bearer":
            headers = _with_bearer(headers, request)
        return Hop(URL(self._base_url + request.target, encoded=True), headers)

    def _new_headers(self, auth: Auth, version: str, has_body: bool) -> CIMultiDict[str]:
        if not _DATE.fullmatch(version):
            raise RequestError(["version must be a date, such as 2025-07-08"])
        headers = CIMultiDict(
            {
                "Accept": "application/json",
                "Pinwheel-Version": version,
                "User-Agent": f"pinwheel-async/{library_version()}",
            }
        )
        if has_body:
            headers["Content-Type"] = "application/json"
        if auth == "secret":
            headers["x-api-secret"] = self._secret.value
        return headers


def next_hop(hop: Hop, response: Response, *, row: Endpoint[object], has_body: bool) -> Hop | None:
    """Return where a redirect leads; None if it must not or cannot be followed.

    Another origin gets neither secret nor token, and they do not come back if the way leads home again. Where the body
    itself holds the credentials, as when an admin token is asked for, it does not leave its origin at all.
    """
    try:
        url = hop.url.join(URL(response.headers.get("location", ""))).with_user(None)
        same_origin = _origin(url) == _origin(hop.url)
    except ValueError:
        return None
    if url.scheme not in {"http", "https"} or (hop.url.scheme == "https" and url.scheme == "http"):
        return None
    if same_origin:
        return Hop(url, hop.headers)
    if has_body and row.auth == "none":
        return None
    return Hop(
        url, CIMultiDict([(name, value) for name, value in hop.headers.items() if name.lower() not in _CREDENTIALS])
    )


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def _with_bearer(headers: CIMultiDict[str], request: Request) -> CIMultiDict[str]:
    if not (request.bearer and request.bearer.isascii() and request.bearer.isprintable()):
        raise RequestError(["the admin token must be printable ASCII"])
    return CIMultiDict({**headers, "Authorization": f"Bearer {request.bearer}"})
