"""URL and headers of a request, and of the request that a redirect asks for.

Neither credentials nor bodies leave their origin.
"""

from collections.abc import Mapping

from multidict import CIMultiDict
from yarl import URL

from pinwheel_async._core.wire import Auth, Request, Response
from pinwheel_async._privacy import Discreet, Unpicklable
from pinwheel_async.errors import RequestError
from pinwheel_async.settings import Settings, is_version

_HARMLESS = frozenset({"accept", "content-type", "pinwheel-version", "user-agent"})
"""Headers that another origin may see: neither secret nor token, nor what a caller has added."""


class Secret(Unpicklable, Discreet):
    """Holds a secret where no repr, no walk through fields and no traceback shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret, for a header."""
        return self._value


class PreparedRequest(Unpicklable, Discreet):
    """URL and headers of a request. Nothing that renders it shows them, so frames may hold it."""

    __slots__ = ("headers", "is_foreign", "url")

    def __init__(self, url: URL, headers: CIMultiDict[str], *, is_foreign: bool = False) -> None:
        self.url = url
        self.headers = headers
        self.is_foreign = is_foreign
        """Whether a redirect led to another origin: what belongs to the caller's own session does not go there."""


class RequestPreparer(Unpicklable):
    """Prepares requests of one client; headers are built once per kind of request and reused."""

    def __init__(self, secret: Secret, settings: Settings) -> None:
        self._secret = secret
        self._base_url = settings.base_url
        self._version = settings.version
        self._app_name = settings.app_name
        self._extra_headers: Mapping[str, str] = {}
        self._headers: dict[tuple[Auth, str, bool], CIMultiDict[str]] = {}

    def with_options(self, settings: Settings, extra_headers: Mapping[str, str]) -> "RequestPreparer":
        """Return a preparer of the same client for other settings, which adds headers to every request."""
        preparer = object.__new__(type(self))
        vars(preparer).update(vars(self))
        preparer._version = settings.version
        preparer._extra_headers, preparer._headers = extra_headers, {}
        return preparer

    def prepare(self, auth: Auth, request: Request) -> PreparedRequest:
        """Return URL and headers of a request.

        Raises:
            RequestError: The version or the admin token cannot stand in a header.
        """
        key = (auth, request.version or self._version, request.body is not None)
        if key not in self._headers:
            self._headers[key] = self._new_headers(*key)
        headers = self._headers[key]
        if auth == "bearer":
            headers = _with_bearer(headers, request)
        return PreparedRequest(URL(self._base_url + request.target, encoded=True), headers)

    def _new_headers(self, auth: Auth, version: str, has_body: bool) -> CIMultiDict[str]:
        if not is_version(version):
            raise RequestError(["version must be a date, such as 2025-07-08"])
        from pinwheel_async._version import __version__  # noqa: PLC0415  # costly, see there

        headers = CIMultiDict(
            {
                "Accept": "application/json",
                "Pinwheel-Version": version,
                "User-Agent": " ".join(filter(None, (f"pinwheel-async/{__version__}", self._app_name))),
            }
        )
        headers.update(self._extra_headers)
        if has_body:
            headers["Content-Type"] = "application/json"
        if auth == "secret":
            headers["x-api-secret"] = self._secret.reveal()
        return headers


def prepare_redirect(redirected: PreparedRequest, response: Response, *, has_body: bool) -> PreparedRequest | None:
    """Return the request that a redirect asks for; None if it must not or cannot be followed.

    Another origin gets neither secret nor token, and they do not come back if a later redirect leads to the first
    origin again. A body does not leave its origin at all: it holds personal data, card data or credentials.
    """
    url = _destination(redirected.url, response.headers.get("location", "").strip())
    if url is None:
        return None
    if _origin(url) == _origin(redirected.url):
        return PreparedRequest(url, redirected.headers, is_foreign=redirected.is_foreign)
    if has_body:
        return None
    kept = [(name, value) for name, value in redirected.headers.items() if name.lower() in _HARMLESS]
    return PreparedRequest(url, CIMultiDict(kept), is_foreign=True)


def _destination(redirected: URL, location: str) -> URL | None:
    """Return where a redirect leads; None if that is nowhere, no HTTP, or plain HTTP after HTTPS."""
    try:
        reference = URL(location)
        url = redirected.join(reference).with_user(None).with_fragment(None)
        _origin(url)  # which finds a port out of range
    except ValueError:
        return None
    nowhere = not location or (reference.scheme and not reference.host)
    downgrade = redirected.scheme == "https" and url.scheme == "http"
    return None if nowhere or downgrade or url.scheme not in {"http", "https"} else url


def spelling(url: URL) -> tuple[object, ...]:
    """Return what all spellings of a URL have in common: case of the host, default port, needless percent-encoding."""
    return *_origin(url), URL(str(url)).raw_path_qs


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def _with_bearer(headers: CIMultiDict[str], request: Request) -> CIMultiDict[str]:
    if not (request.bearer and request.bearer.isascii() and request.bearer.isprintable()):
        raise RequestError(["the admin token must be printable ASCII"])
    return CIMultiDict({**headers, "Authorization": f"Bearer {request.bearer}"})
