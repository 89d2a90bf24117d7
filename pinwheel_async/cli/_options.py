"""What several commands have in common."""

from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from pinwheel_async.client import Pinwheel
from pinwheel_async.settings import Environment


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
