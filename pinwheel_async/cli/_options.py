"""What several commands have in common."""

import binascii
import os
from base64 import b64decode
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import Environment

KEY_VARIABLE = "PINWHEEL_INBOX_KEY"
"""Where the key of an encrypted inbox comes from: an argument would show in the list of processes."""


@Parameter(name="*")
@frozen(kw_only=True)
class Connection:
    """Where to call.

    Parameters
    ----------
    environment:
        Where the API key belongs.
    base_url:
        Scheme and host to call instead of the environment's.
    """

    environment: Environment = "sandbox"
    base_url: str | None = None

    def open(self) -> Pinwheel:
        """Make the client; the secret comes from the variable `PINWHEEL_API_SECRET`."""
        return Pinwheel(environment=self.environment, base_url=self.base_url)


Json = Annotated[bool, Parameter(name="--json", help="Print JSON for programs.", show_default=False)]


def database_url(place: str) -> str:
    """Return the URL of a database that is given as a URL or as a path to a SQLite file."""
    return place if "://" in place else f"sqlite:///{place}"


def inbox_key() -> bytes | None:
    """Return the key of the inbox, if the variable `PINWHEEL_INBOX_KEY` holds one.

    Raises:
        ConfigurationError: It holds something else.
    """
    text = os.environ.get(KEY_VARIABLE)
    if not text:
        return None
    try:
        key = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    del text
    if len(key) != 32:
        raise ConfigurationError(f"{KEY_VARIABLE} must be the 32 bytes of the inbox's key in base64")
    return key
