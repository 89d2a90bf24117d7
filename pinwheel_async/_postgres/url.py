"""URL of a database, as asyncpg takes it."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pinwheel_async._postgres.parameters import WITHOUT_NAMES, read_parameters
from pinwheel_async._privacy import without_locals
from pinwheel_async.errors import ConfigurationError

_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}


@without_locals
def connect_arguments(url: str, *, owner: str = "the inbox") -> tuple[str, dict[str, Any], bool]:
    """Return a URL for asyncpg, arguments beside it, and whether its parameters say that it leads to a pooler.

    Args:
        url: The URL as it was given.
        owner: Whose it is, in a message.

    Raises:
        ConfigurationError: It is no URL of PostgreSQL, or has a parameter that there is not.
    """
    address: Any = url
    try:
        parts = urlsplit(url if isinstance(address, str) else "")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        parts, given = urlsplit(""), {}
    if parts.scheme not in _SCHEMES:
        raise ConfigurationError(f"the URL of {owner} must be like postgresql://user@host/database")
    hosts: dict[str, str] = {
        name: given.pop(name) for name in ("host", "port") if name in given
    }  # asyncpg reads them, too
    arguments = read_parameters(given, owner=owner)
    read: str = urlsplit(str(arguments.pop("dsn", ""))).query
    is_pooled = arguments.get("statement_cache_size") == 0
    for name in WITHOUT_NAMES:
        arguments.pop(name, None)
    if "ssl" in arguments:
        read = f"{read}&{urlencode({'sslmode': arguments.pop('ssl')})}".lstrip("&")
    query = "&".join(filter(None, [read, urlencode(hosts)]))
    return parts._replace(scheme="postgresql", query=query).geturl(), arguments, is_pooled
