"""Parameters in URLs of PostgreSQL, in terms of SQLAlchemy and asyncpg."""

from typing import Any

from sqlalchemy import URL

from pinwheel_async._postgres.parameters import read_parameters


def connect_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return a URL without its parameters, and what they mean as arguments for SQLAlchemy and asyncpg.

    Raises:
        ConfigurationError: There is no such parameter, or asyncpg cannot do what it asks for.
    """
    given = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    # SQLAlchemy reads these.
    left: dict[str, str | tuple[str, ...]] = {name: url.query[name] for name in ("host", "port") if name in given}
    arguments = read_parameters({name: value for name, value in given.items() if name not in left}, owner="the sink")
    return url.set(query=left), arguments
