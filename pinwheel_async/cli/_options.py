"""Options that several commands share: connection, JSON output, database, inbox and its key, router."""

import binascii
import os
import re
import sys
from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import field, frozen
from cyclopts import Parameter

from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import Environment

if TYPE_CHECKING:
    from pinwheel_async import SharedPace
    from pinwheel_async.webhooks import PostgresInbox, Router, SqliteInbox

KEY_VARIABLE = "PINWHEEL_INBOX_KEY"
"""Where the key of an encrypted inbox comes from: an argument would show in the list of processes."""

INBOX_VARIABLE = "PINWHEEL_INBOX"
"""Where the path or the URL of the inbox comes from, if it is no argument."""

OLD_KEYS_VARIABLE = "PINWHEEL_INBOX_OLD_KEYS"
"""Where the keys come from that it had before, apart by spaces."""


_DURATION = re.compile(r"(\d+) ?(d|h|min)", re.ASCII)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1)}


def duration(text: str) -> timedelta | None:
    """Read a duration such as 7d, 12h or 30min; None if it is none.

    Raises:
        OverflowError: It is longer than Python's own can be.
    """
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


@Parameter(name="*")
@frozen(kw_only=True)
class Connection:
    """Where to call.

    Parameters
    ----------
    environment:
        Where the API key belongs; PINWHEEL_ENVIRONMENT or the sandbox when left out.
    base_url:
        Scheme and host to call instead of the environment's, and a path if there is a gateway; PINWHEEL_BASE_URL when
        left out.
    allow_http:
        Let the base URL be plain http to another machine; what is sent can be seen on the way.
    proxy:
        URL of an HTTP proxy; HTTPS_PROXY and NO_PROXY count when left out. One with a password belongs there: arguments
        show in the list of processes.
    ca_file:
        PEM file with the certificate authorities to trust, instead of the system's.
    client_certificate:
        PEM file with a certificate to show to the server.
    client_key:
        PEM file with the key of the certificate, if it is not in the same file.
    """

    environment: Environment | None = None
    base_url: str | None = None
    allow_http: bool = False
    proxy: str | None = None
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def open(self, *, requests_per_s: float | None = None, pace: str | None = None) -> Pinwheel:
        """Make the client; the secret comes from the variable `PINWHEEL_API_SECRET`.

        Args:
            requests_per_s: Most requests begun per second.
            pace: URL of the database with which others keep that rate together.

        Raises:
            ConfigurationError: Options that do not go together, or cannot work.
        """
        if pace is not None and requests_per_s is None:
            raise ConfigurationError("--pace goes with --requests-per-s, the rate of all processes together")
        certificate, key = self.client_certificate, self.client_key
        if key is not None and certificate is None:
            raise ConfigurationError("--client-key goes with --client-certificate")
        return Pinwheel(
            environment=self.environment,
            base_url=self.base_url,
            allow_http=self.allow_http,
            proxy=self.proxy,
            ssl=self.ca_file,
            client_certificate=certificate if certificate is None or key is None else (certificate, key),
            requests_per_s=requests_per_s if pace is None else None,
            pace=None if pace is None or requests_per_s is None else shared_pace(pace, requests_per_s),
        )


def shared_pace(url: str, requests_per_s: float) -> "SharedPace":
    """Describe a rate that processes share."""
    from pinwheel_async import SharedPace  # noqa: PLC0415  # brings asyncpg, which most commands do without

    return SharedPace(url, requests_per_s=requests_per_s)


@Parameter(name="*")
@frozen(kw_only=True)
class TableNames:
    """What the tables of a copy are called.

    Parameters
    ----------
    schema:
        Schema of PostgreSQL where the tables are; a sync makes it if it is not there.
    prefix:
        What the names of the tables begin with.
    """

    schema: str | None = None
    prefix: str = ""


Json = Annotated[bool, Parameter(name="--json", help="Print JSON for programs.", show_default=False)]


def database_url(place: str) -> str:
    """Return the URL of a database that is given as a URL or as a path to a SQLite file."""
    return place if "://" in place else f"sqlite:///{place}"


@without_locals
def inbox_key() -> bytes | None:
    """Return the key of the inbox, if the variable `PINWHEEL_INBOX_KEY` holds one.

    Raises:
        ConfigurationError: It holds something else.
    """
    text = os.environ.get(KEY_VARIABLE)
    return _key(text, KEY_VARIABLE) if text else None


@without_locals
def inbox_old_keys() -> tuple[bytes, ...]:
    """Return the keys that the inbox had before, if the variable `PINWHEEL_INBOX_OLD_KEYS` holds some.

    Raises:
        ConfigurationError: It holds something else.
    """
    return tuple([_key(text, OLD_KEYS_VARIABLE) for text in os.environ.get(OLD_KEYS_VARIABLE, "").split()])


def _key(text: str, variable: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    del text
    if len(key) != 32:
        several = "; several keys are apart by spaces" if variable == OLD_KEYS_VARIABLE else ""
        raise ConfigurationError(f"{variable} must be the 32 bytes of the inbox's key in base64{several}")
    return key


@Parameter(name="*")
@frozen(kw_only=True)
class InboxPlace(Discreet):
    """Where an inbox is.

    Parameters
    ----------
    inbox:
        SQLite file of the inbox, or URL of a PostgreSQL database; PINWHEEL_INBOX when left out, or inbox.db. A password
        belongs in that variable, in PGPASSWORD or in a password file: arguments show in the list of processes.
    inbox_schema:
        Schema of PostgreSQL where the tables of the inbox are.
    pooled:
        The URL leads to a pooler in transaction mode, such as PgBouncer.
    """

    inbox: str | None = field(default=None, repr=False)
    inbox_schema: str | None = None
    pooled: Annotated[bool, Parameter(show_default=False)] = False

    @property
    def place(self) -> str:
        """The path or the URL."""
        return self.inbox or os.environ.get(INBOX_VARIABLE) or "inbox.db"

    @property
    def is_given(self) -> bool:
        """Whether somebody has said where it is."""
        return bool(self.inbox or os.environ.get(INBOX_VARIABLE))

    @property
    def file(self) -> Path | None:
        """The path; None if it is a URL."""
        return None if "://" in self.place else Path(self.place)

    def make(
        self, *, consumer: str | None = None, read_only: bool = False, create: bool = False
    ) -> "SqliteInbox | PostgresInbox":
        """Describe the inbox, by default for a tool, which receives nothing; a file has to be there unless *create*.

        Raises:
            ConfigurationError: There is no such file, or an option does not go with one.
        """
        # A quarter of the import time of other commands.
        from pinwheel_async.webhooks import PostgresInbox, SqliteInbox  # noqa: PLC0415

        if self.file is None:
            return PostgresInbox(
                self.place,
                schema=self.inbox_schema,
                pooled=self.pooled,
                consumer=consumer,
                read_only=read_only,
                key=inbox_key(),
                old_keys=inbox_old_keys(),
            )
        if self.inbox_schema is not None or self.pooled:
            raise ConfigurationError("--inbox-schema and --pooled go with the URL of a PostgreSQL database")
        if not create and not self.file.is_file():
            raise ConfigurationError(f"there is no inbox at {self.file}")
        return SqliteInbox(
            self.file, consumer=consumer, read_only=read_only, key=inbox_key(), old_keys=inbox_old_keys()
        )


@asynccontextmanager
async def open_inbox(place: InboxPlace, *, read_only: bool = False) -> "AsyncGenerator[SqliteInbox | PostgresInbox]":
    """Open an existing inbox as a tool, which receives nothing, and close it at the end of the block.

    Args:
        place: Where it is.
        read_only: Whether to look only, which changes nothing and needs no key.

    Raises:
        ConfigurationError: There is no such file.
    """
    inbox = place.make(read_only=read_only)
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


def load_router(place: str) -> "Router":
    """Import a router that is given as module:name, looked for from the working directory, too, as servers do.

    Raises:
        ConfigurationError: There is none. Of what the module raises only types, files and lines are shown, because its
            text may hold anything.
    """
    from pinwheel_async.webhooks import Router  # noqa: PLC0415  # as above
    from pinwheel_async.webhooks._worker.error_chain import error_chain  # noqa: PLC0415  # as above

    module, _, name = place.partition(":")
    if not name or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError("a router is given as module:name, such as shop.hooks:router")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"cannot take the router from {place}: there is no module {error.name}") from None
    except Exception as error:  # noqa: BLE001  # a user's module may raise anything
        raise ConfigurationError(f"cannot take the router from {place}: {error_chain(error)}") from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Router):
        raise ConfigurationError(f"{place} is no Router")
    return found
