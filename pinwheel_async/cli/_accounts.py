"""`pinwheel-async accounts`."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from pinwheel_async._core.convert import encode
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
        print(f"[{', '.join(encode(one, nulls=True).decode() for one in found)}]")
    else:
        _print_table(found)


def _print_table(accounts: list[Account]) -> None:
    table = Table()
    for heading in ("account", "end user", "platform", "connected", "monitoring", "created"):
        table.add_column(heading, no_wrap=heading == "account")
    for one in accounts:
        connected = "yes" if one.connected else "no"
        table.add_row(
            one.id, one.end_user_id, one.platform_id, connected, one.monitoring_status, f"{one.created_at:%Y-%m-%d}"
        )
    Console(highlight=False, markup=False).print(table)
