"""`pinwheel-async purge`."""

import sys
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._inbox import open_inbox
from pinwheel_async.cli._options import Json, database_url
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.sync import Erasure, purge as remove


async def purge(
    *,
    database: str,
    inbox: Path | None = None,
    account_id: str | None = None,
    end_user_id: str | None = None,
    before: date | None = None,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
) -> None:
    """Remove an account, all accounts of an end user, or what is from before a day, for good, and prove it.

    Disconnect the accounts first, or the data comes again. Backups and exported files are out of reach.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    inbox:
        SQLite file of the inbox, to remove it there, too.
    account_id:
        The account.
    end_user_id:
        Your own id of the user.
    before:
        The day: paystubs, shifts, tax forms and handled deliveries from before it.
    yes:
        Do not ask.
    """
    if sum(one is not None for one in (account_id, end_user_id, before)) != 1:
        raise RequestError(["give one of --account-id, --end-user-id and --before"])
    what = f"everything from before {before}" if before else "everything of this account or end user"
    if not yes and not _agreed(f"Remove {what} for good? [y/N] "):
        raise ConfigurationError("nothing was removed: answer y, or say --yes")
    async with AsyncExitStack() as stack:
        opened = None if inbox is None else await stack.enter_async_context(open_inbox(inbox))
        erasure = await remove(
            database_url(database), account_id=account_id, end_user_id=end_user_id, before=before, inbox=opened
        )
    print(erasure.to_json() if json else _text(erasure))


def _agreed(question: str) -> bool:
    """Ask on stderr, so that the output is only the answer; nobody there is a no."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _text(erasure: Erasure) -> str:
    lines = [f"{count:>12,}  {place}" for place, count in erasure.removed.items() if count]
    return "\n".join([*lines, "removed; nothing remains" if lines else "there was nothing to remove"])
