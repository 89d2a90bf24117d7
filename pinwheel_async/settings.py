"""Settings of a client: base URL, API version, timeouts, concurrency, retries; and where secret and proxy come from."""

import os
import re
import ssl
from math import inf
from typing import Literal, TypeAlias, cast, get_args
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import field, frozen

from pinwheel_async._core.arguments import is_number, wrong
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._privacy import Discreet
from pinwheel_async.errors import ConfigurationError

Environment = Literal["sandbox", "development", "production"]
"""An API key belongs to one of them."""

BASE_URLS: dict[Environment, str] = {
    "sandbox": "https://sandbox.getpinwheel.com",
    "development": "https://development.getpinwheel.com",
    "production": "https://api.getpinwheel.com",
}

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that are this machine, so that plain http to them shows nothing to the network."""

VERSIONS = ("2022-03-02", "2022-06-22", "2022-09-09", "2023-04-18", "2023-07-18", "2023-11-22", "2025-07-08")
"""The API versions that the documentation names in headers, oldest first."""

LATEST_VERSION = VERSIONS[-1]
"""The API version that a client speaks unless it is told another."""

SECRET_VARIABLE = "PINWHEEL_API_SECRET"  # noqa: S105  # the name of a variable, not a secret

BASE_URL_VARIABLE = "PINWHEEL_BASE_URL"

ENVIRONMENT_VARIABLE = "PINWHEEL_ENVIRONMENT"

FilePath: TypeAlias = str | os.PathLike[str]

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII | re.IGNORECASE)
"""A name, or an address: without brackets, as `urlsplit` gives an IPv6 address."""

_SEGMENT = re.compile(r"(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE)
"""One part of a path, as RFC 3986 has it."""

_APP_NAME = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII)
"""Printable ASCII without blanks at its ends; proxies and servers take longer headers, but nobody reads them."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _without_slash(base_url: str) -> str:
    given = cast("object", base_url)  # what is no text is refused later
    return given.rstrip("/") if isinstance(given, str) else base_url


_SOUND_URL = re.compile(r"https?://[\w.:\[\]-]+[\w./-]*", re.ASCII)


def _shown_url(url: object) -> str:
    """Return what the repr shows of a base URL: nothing of one that is refused, as it may hold a password."""
    return repr(url) if isinstance(url, str) and _SOUND_URL.fullmatch(url) else "(no base URL)"


@frozen(kw_only=True)
class Settings(Discreet):
    """Settings of a client, without its secret."""

    base_url: str = field(converter=_without_slash, repr=_shown_url)
    """Scheme and host of the API, and the prefix of all paths if it stands behind a gateway; no slash at the end."""
    version: str = LATEST_VERSION
    """Value of the `Pinwheel-Version` header: a date."""
    timeout_s: float = 60.0
    """Seconds for one call over all its attempts and waits."""
    attempt_timeout_s: float = 30.0
    """Seconds for one attempt: half of the default for the call, so that a second one fits."""
    concurrency: int = 64
    """Most requests in flight at once; the client goes lower by itself when the server pushes back. With answers after
    100 ms, 64 are 640 requests per second, a small part of what one process can do."""
    requests_per_s: float | None = None
    """Most requests begun per second, on average; None means no cap."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    allow_http: bool = False
    """Whether plain http may go to other hosts than this machine: in a network of one's own."""
    app_name: str | None = None
    """What stands in `User-Agent` behind the name of this library, such as `acme-lending/1.4`."""

    def __attrs_post_init__(self) -> None:
        if problem := _base_url_problem(self.base_url, allow_http=self.allow_http):
            raise ConfigurationError(f"base_url {problem}")
        if not is_version(self.version):
            raise ConfigurationError(wrong("version", f"a date as text, such as {LATEST_VERSION}", self.version, str))
        for name in ("timeout_s", "attempt_timeout_s"):
            value: object = getattr(self, name)
            if not (is_number(value) and 0 < value < inf):
                raise ConfigurationError(wrong(name, "a number of seconds above 0", value, float))
        if type(self.concurrency) is not int or self.concurrency < 1:
            raise ConfigurationError(wrong("concurrency", "a whole number from 1 on", self.concurrency, int))
        rate = cast("object", self.requests_per_s)
        if not (rate is None or (is_number(rate) and rate > 0)):
            raise ConfigurationError(wrong("requests_per_s", "a number above 0, or None for no cap", rate, float))
        retry = cast("object", self.retry)
        if not isinstance(retry, RetryPolicy):
            raise ConfigurationError(wrong("retry", "a RetryPolicy, such as RetryPolicy(attempts=5)", retry))
        if self.app_name is not None and not _is_app_name(self.app_name):
            raise ConfigurationError(
                "app_name must be printable ASCII, such as acme-lending/1.4: 1 to 128 characters, no blanks at its ends"
            )


def is_version(text: object) -> bool:
    """Whether it can be an API version: a date as text, such as 2025-07-08."""
    return isinstance(text, str) and _DATE.fullmatch(text) is not None


def find_base_url(given: str | None, environment: str | None, *, allow_http: bool = False) -> str:
    """Return the base URL: the one that is given, that of the environment that is given, or one out of the variables.

    Of the variables `PINWHEEL_BASE_URL` goes before `PINWHEEL_ENVIRONMENT`; without any of them it is the sandbox.

    Raises:
        ConfigurationError: It is no base URL, or not an environment that the API has.
    """
    name, name_of_environment = "base_url", "environment"
    if given is None and environment is None:
        name, name_of_environment = BASE_URL_VARIABLE, ENVIRONMENT_VARIABLE
        given = os.environ.get(BASE_URL_VARIABLE) or None
        environment = os.environ.get(ENVIRONMENT_VARIABLE) or "sandbox"
    if given is None:
        for known, url in BASE_URLS.items():
            if known == environment:
                return url
        raise ConfigurationError(f"{name_of_environment} must be one of {', '.join(get_args(Environment))}")
    if problem := _base_url_problem(_without_slash(given), allow_http=allow_http):
        raise ConfigurationError(f"{name} {problem}")
    return given


def find_proxy(given: str | None, target: str, *, trust_env: bool) -> str | None:
    """Return the URL of the proxy that is given, or of the one in the environment that is meant for a target.

    The environment is `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not; what stands there
    is never used for this machine itself.

    Raises:
        ConfigurationError: It is no URL of an HTTP proxy.
    """
    name = "proxy"
    if given is None:
        parts = urlsplit(target)
        here = (parts.hostname or "") in LOOPBACK_HOSTS
        if not trust_env or here or proxy_bypass(parts.netloc):
            return None
        proxies = getproxies()
        name = "the proxy of the environment"
        given = proxies.get(parts.scheme) or proxies.get("all")
        if not given:
            return None
    known = cast("object", given)
    url = f"http://{known}" if isinstance(known, str) and "://" not in known else given
    found = _split(url)
    if found is None or found.path not in {"", "/"} or found.query or found.fragment:
        raise ConfigurationError(
            f"{name} must be a URL such as http://proxy.example:3128; for SOCKS pass a session of your own"
        )
    return url


def tls_context(
    trusted: "ssl.SSLContext | FilePath | None", client_certificate: FilePath | tuple[FilePath, FilePath] | None
) -> ssl.SSLContext | None:
    """Return what a client trusts and shows; None for what the system trusts.

    Args:
        trusted: A context, which is used as it is, or the path of a file of certificate authorities in PEM.
        client_certificate: Path of a PEM file with certificate and key, or the paths of two files.

    Raises:
        ConfigurationError: A file cannot be read, or does not hold what it should.
    """
    if trusted is None and client_certificate is None:
        return None
    if isinstance(trusted, ssl.SSLContext):
        if client_certificate is not None:
            raise ConfigurationError("client_certificate must go into the SSLContext of ssl, with its load_cert_chain")
        return trusted
    if trusted == "" or not (trusted is None or isinstance(cast("object", trusted), str | os.PathLike)):
        raise ConfigurationError(
            "ssl must be an ssl.SSLContext or the path of a file of certificate authorities in PEM"
        )
    name = "ssl"
    try:
        context = ssl.create_default_context(cafile=trusted)
        if client_certificate is not None:
            name = "client_certificate"
            pair = client_certificate if isinstance(client_certificate, tuple) else (client_certificate, None)
            certificate, key = pair
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError, TypeError) as error:
        reason = type(error).__name__
    else:
        return context
    # Raised here, outside the handler, because the cause holds paths.
    raise ConfigurationError(f"{name} must be the path of a PEM file that can be read: {reason}")


def find_secret(api_secret: str | None) -> str:
    """Return the secret that was given, or the one in the environment.

    Raises:
        ConfigurationError: There is none, or it cannot be sent in a header.
    """
    secret = os.environ.get(SECRET_VARIABLE, "") if api_secret is None else api_secret
    if not isinstance(cast("object", secret), str):
        raise ConfigurationError(wrong("api_secret", "text", secret))
    if not secret.strip():
        raise ConfigurationError(f"the API secret is empty: pass api_secret or set {SECRET_VARIABLE}")
    if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
        raise ConfigurationError("the API secret must be printable ASCII without blanks at its ends: copy it again")
    return secret


def _base_url_problem(url: object, *, allow_http: bool) -> str | None:
    """Say what is wrong with a base URL, if anything; never show it, as it may hold a password."""
    parts = _split(url)
    segments = parts.path.split("/")[1:] if parts else []
    sound = all(_SEGMENT.fullmatch(segment) and segment not in {".", ".."} for segment in segments)
    if parts is None or not sound or "?" in str(url) or "#" in str(url):
        return (
            "must be a scheme and a host, such as https://sandbox.getpinwheel.com, with or without a path behind them"
        )
    if "@" in parts.netloc:
        return "must be without user and password: the API takes its secret in a header"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS and not allow_http:
        return "must be https; plain http would show the secret to the network, unless allow_http says that it may"
    return None


def _split(url: object) -> SplitResult | None:
    """Return the parts of a URL of HTTP or HTTPS; None if it is none."""
    # Blanks and line breaks are refused here, because `urlsplit` drops some of them.
    if not isinstance(url, str) or not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or not _has_sound_port(parts):
        return None
    return parts


def _is_app_name(name: object) -> bool:
    return isinstance(name, str) and _APP_NAME.fullmatch(name) is not None


def _has_sound_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False
