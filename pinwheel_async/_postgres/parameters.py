"""Parameters in URLs of PostgreSQL: those of libpq, as hosters hand them out, in terms of asyncpg."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from pinwheel_async.errors import ConfigurationError

_ASYNCPG_READS = {
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("user", "password", "dbname", "passfile", "service", "krbsrvname", "gsslib"),
}
"""Parameters that asyncpg reads out of a URL of its own."""

_SETTINGS = {"application_name", "options", "search_path"}
"""Settings of the server for a connection."""

_MODES: Mapping[str, tuple[str, ...]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
"""Parameters with few values."""

_CURES: Mapping[str, str] = {
    "channel_binding": "asyncpg cannot do it: leave it out, and use sslmode=verify-full with sslrootcert",
    "gssencmode": "asyncpg cannot do it: leave it out, and use sslmode",
    "schema": "give the schema to {owner}, as an option",
    "client_encoding": "asyncpg speaks UTF-8: leave it out",
}
"""What to do about parameters that cannot be meant."""

_IGNORED: Mapping[str, set[str]] = {
    "channel_binding": {"disable", "prefer"},
    "gssencmode": {"disable", "prefer"},
    "client_encoding": {"utf8", "utf-8", "unicode", "auto"},
}
"""Values of parameters that ask for nothing."""

WITHOUT_NAMES: Mapping[str, Any] = MappingProxyType(
    {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        # A statement without a name lasts until the next one on the same connection. One with a name may, behind a
        # pooler, be there already, made by somebody else, or not be there any more.
        "prepared_statement_name_func": str,
    }
)
"""Arguments that let nothing of a connection outlast a transaction, as PgBouncer wants it in transaction mode."""


def read_parameters(given: Mapping[str, str], *, owner: str) -> dict[str, Any]:
    """Return what the parameters of a URL mean as arguments for asyncpg; those that it reads itself as a "dsn".

    Args:
        given: The parameters.
        owner: Who is to be given a schema, in a message.

    Raises:
        ConfigurationError: There is no such parameter, or asyncpg cannot do what it asks for.
    """
    arguments: dict[str, Any] = {}
    settings: dict[str, str] = {}
    read: dict[str, str] = {}
    for name, value in given.items():
        if name in _MODES and value not in _MODES[name]:
            raise _refused(name, f"it must be one of {', '.join(_MODES[name])}")
        if name in _ASYNCPG_READS:
            read[name] = value
        elif name in _SETTINGS:
            settings[name] = value
        elif name in _TRANSLATED:
            arguments |= _TRANSLATED[name](name, value)
        elif value.lower() not in _IGNORED.get(name, ()):
            cure = _CURES.get(name, "there is no such parameter, or asyncpg does not have it: leave it out")
            raise _refused(name, cure.format(owner=owner))
    if read:
        arguments["dsn"] = f"postgresql://?{urlencode(read)}"
    if settings:
        arguments["server_settings"] = settings
    return arguments


def _refused(name: str, cure: str) -> ConfigurationError:
    # A name is no secret, but what stands where it should may be one: a password with a question mark in it.
    shown = name if name in {*_MODES, *_CURES, *_TRANSLATED, *_KNOWN} else "(another one)"
    return ConfigurationError(f"the parameter {shown} in the URL of the database: {cure}")


_KNOWN = {
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "replication"),
    *("load_balance_hosts", "sslcompression", "sslcertmode", "sslnegotiation", "sslsni", "requirepeer", "require_auth"),
    *("fallback_application_name", "hostaddr", "connection_limit", "pool_timeout", "statement_timeout"),
    "gssdelegation",
}
"""Parameters of libpq and of others that asyncpg does not have."""


def _timeout(name: str, value: str) -> dict[str, Any]:
    if not value.isdecimal():
        raise _refused(name, "it must be a whole number of seconds")
    # To libpq, 0 is no limit.
    return {"timeout": float(value) or None}


def _cache(name: str, value: str) -> dict[str, Any]:
    if not value.isdecimal():
        raise _refused(name, "it must be a whole number")
    return {name: int(value)} if int(value) else {**WITHOUT_NAMES}


def _pgbouncer(name: str, value: str) -> dict[str, Any]:
    if value not in {"true", "false"}:
        raise _refused(name, "it must be true or false")
    return {**WITHOUT_NAMES} if value == "true" else {}


_TRANSLATED: Mapping[str, Callable[[str, str], dict[str, Any]]] = {
    "connect_timeout": _timeout,
    "statement_cache_size": _cache,
    "prepared_statement_cache_size": _cache,
    "pgbouncer": _pgbouncer,
    "ssl": lambda name, value: {name: value},  # SQLAlchemy's own name of sslmode, for asyncpg
}
