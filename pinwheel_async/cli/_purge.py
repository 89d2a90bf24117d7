"""Command `pinwheel-async purge`: removes people or old data from a copy, and from an inbox."""

import json as json_text
import sys
from contextlib import AsyncExitStack
from datetime import date
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async.cli._options import InboxPlace, Json, TableNames, database_url, open_inbox
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.sync import Erasure, lift_erasure, purge as remove


async def purge(
    *,
    database: str,
    inbox: str | None = None,
    inbox_schema: str | None = None,
    account_id: str | None = None,
    end_user_id: str | None = None,
    before: date | None = None,
    vacuum: Annotated[bool, Parameter(negative="")] = False,
    lift: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    json: Json = False,
    names: TableNames | None = None,
) -> None:
    """Remove an account, all accounts of an end user, or what is from before a day, for good, and prove it.

    The database remembers them: no sync or mirror fetches them again. Backups and exported files are out of reach.

    Parameters
    ----------
    database:
        Path of a SQLite file, or URL such as postgresql://user@host/name.
    inbox:
        SQLite file of the inbox, or URL of PostgreSQL, to remove it there, too.
    inbox_schema:
        Schema of PostgreSQL where the tables of the inbox are.
    account_id:
        The account.
    end_user_id:
        Your own id of the user.
    before:
        The day: paystubs, shifts and tax forms from before it, and deliveries that are done or dead.
    vacuum:
        Rewrite a SQLite file as a whole, so that it becomes smaller.
    lift:
        Remove nothing, but let the account be fetched again that was removed.
    yes:
        Do not ask.
    """
    if sum(argument is not None for argument in (account_id, end_user_id, before)) != 1:
        raise RequestError(["give one of --account-id, --end-user-id and --before"])
    place = None if inbox is None else InboxPlace(inbox=inbox, inbox_schema=inbox_schema)
    if lift:
        if account_id is None:
            raise RequestError(["--lift needs --account-id: of what was removed nothing else is known"])
        await _lift(database, place, account_id, names or TableNames(), json=json)
        return
    what = f"everything from before {before}" if before else "everything of this account or end user"
    if not yes and not _agreed(f"Remove {what} for good? [y/N] "):
        raise ConfigurationError("nothing was removed: answer y, or say --yes")
    named = names or TableNames()
    async with AsyncExitStack() as stack:
        opened = None if place is None else await stack.enter_async_context(open_inbox(place))
        erasure = await remove(
            database_url(database),
            account_id=account_id,
            end_user_id=end_user_id,
            before=before,
            inbox=opened,
            vacuum=vacuum,
            schema=named.schema,
            prefix=named.prefix,
        )
    print(erasure.to_json() if json else _text(erasure))


async def _lift(database: str, inbox: InboxPlace | None, account_id: str, names: TableNames, *, json: bool) -> None:
    async with AsyncExitStack() as stack:
        opened = None if inbox is None else await stack.enter_async_context(open_inbox(inbox))
        lifted = await lift_erasure(
            database_url(database), account_id=account_id, inbox=opened, schema=names.schema, prefix=names.prefix
        )
    text = "the next sync fetches it again" if lifted else "it was not removed"
    print(json_text.dumps({"lifted": lifted}) if json else text)


def _agreed(question: str) -> bool:
    """Ask on stderr, so that stdout holds the result only; end of input counts as a no."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _text(erasure: Erasure) -> str:
    lines = [f"{count:>12,}  {place}" for place, count in erasure.removed.items() if count]
    elsewhere = [f"still held, out of reach: {place}" for place in erasure.out_of_reach if lines]
    return "\n".join([*lines, *elsewhere, "removed; nothing remains" if lines else "there was nothing to remove"])
