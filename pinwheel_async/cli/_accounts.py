"""Command `pinwheel-async accounts`: lists the accounts of a workspace."""

from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from pinwheel_async._core.converter import encode
from pinwheel_async.cli._options import Connection, Json
from pinwheel_async.models.account import Account


async def accounts(
    *,
    connected: Annotated[bool | None, Parameter(negative="--disconnected")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: Json = False,
    connection: Connection | None = None,
) -> None:
    """List the accounts of the workspace.

    Parameters
    ----------
    connected:
        Only connected, or only disconnected ones; both when left out.
    limit:
        Most accounts to list.
    """
    found: list[Account] = []
    async with (connection or Connection()).open() as pinwheel:
        async for account in pinwheel.accounts.list(connected=connected, limit=min(limit, 100)):
            found.append(account)
            if len(found) == limit:
                break
    if json:
        print(f"[{', '.join(encode(account, nulls=True).decode() for account in found)}]")
    else:
        _print_table(found)


def _print_table(accounts: list[Account]) -> None:
    table = Table()
    for heading in ("account", "end user", "platform", "connected", "monitoring", "created"):
        table.add_column(heading, no_wrap=heading == "account")
    for account in accounts:
        table.add_row(
            account.id,
            account.end_user_id,
            account.platform_id,
            "yes" if account.connected else "no",
            account.monitoring_status,
            _day(account.created_at),
        )
    Console(highlight=False, markup=False).print(table)


def _day(moment: datetime | None) -> str | None:
    # The API may say null where its documentation says never.
    return None if moment is None else f"{moment:%Y-%m-%d}"
