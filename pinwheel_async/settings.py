"""What a client can be told: where the API is, which version it speaks, how long to wait, how hard to push."""

import os
import re
from math import inf
from typing import Literal, get_args
from urllib.parse import SplitResult, urlsplit

from attrs import field, frozen

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import ConfigurationError

Environment = Literal["sandbox", "development", "production"]
"""An API key belongs to one of them."""

BASE_URLS: dict[Environment, str] = {
    "sandbox": "https://sandbox.getpinwheel.com",
    "development": "https://development.getpinwheel.com",
    "production": "https://api.getpinwheel.com",
}

LATEST_VERSION = "2025-07-08"
"""The API version that a client speaks unless it is told another."""

SECRET_VARIABLE = "PINWHEEL_API_SECRET"  # noqa: S105  # the name of a variable, not a secret

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@frozen(kw_only=True)
class Settings:
    """Everything a client is told beside its secret."""

    base_url: str
    """Scheme and host of the API, without path."""
    version: str = LATEST_VERSION
    """Value of the `Pinwheel-Version` header: a date."""
    timeout_s: float = 60.0
    """Seconds for one call over all its attempts and waits."""
    attempt_timeout_s: float = 30.0
    """Seconds for one attempt."""
    concurrency: int = 64
    """Most requests in flight at once; the client goes lower by itself when the server pushes back."""
    requests_per_s: float | None = None
    """Most requests begun per second, on average; None means no cap."""
    retry: RetryPolicy = field(factory=RetryPolicy)

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        bare = self.base_url.lower() == f"{parts.scheme}://{parts.netloc}".lower() and "@" not in parts.netloc
        if not bare or parts.scheme not in {"http", "https"} or not parts.hostname or not _has_sound_port(parts):
            raise ConfigurationError("base_url must be a scheme and a host, such as https://sandbox.getpinwheel.com")
        if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise ConfigurationError("base_url must be https; plain http would show the secret to the network")
        if not _DATE.fullmatch(self.version):
            raise ConfigurationError(f"version must be a date, such as {LATEST_VERSION}")
        for name in ("timeout_s", "attempt_timeout_s"):
            if not 0 < getattr(self, name) < inf:
                raise ConfigurationError(f"{name} must be a number of seconds above 0")
        if self.concurrency < 1:
            raise ConfigurationError("concurrency must be at least 1")
        if self.requests_per_s is not None and not self.requests_per_s > 0:
            raise ConfigurationError("requests_per_s must be more than 0, or None for no cap")


def base_url(environment: str) -> str:
    """Return the base URL of an environment.

    Raises:
        ConfigurationError: It is not an environment that the API has.
    """
    for name, url in BASE_URLS.items():
        if name == environment:
            return url
    raise ConfigurationError(f"environment must be one of {', '.join(get_args(Environment))}")


def find_secret(api_secret: str | None) -> str:
    """Return the secret that was given, or the one in the environment.

    Raises:
        ConfigurationError: There is none, or it cannot be sent in a header.
    """
    secret = os.environ.get(SECRET_VARIABLE, "") if api_secret is None else api_secret
    if not secret.strip():
        raise ConfigurationError(f"the API secret is empty: pass api_secret or set {SECRET_VARIABLE}")
    if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
        raise ConfigurationError("the API secret must be printable ASCII without blanks at its ends: copy it again")
    return secret


def _has_sound_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False
