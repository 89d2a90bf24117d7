"""Command `pinwheel-async accounts`: lists the accounts of a workspace."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async._core.converter import encode
from pinwheel_async.cli._options import Connection, Json
from pinwheel_async.cli._render import print_rows
from pinwheel_async.models.account import Account


async def accounts(
    *,
    connected: Annotated[bool | None, Parameter(negative="--disconnected")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: Json = False,
    connection: Connection | None = None,
) -> None:
    """List the accounts of the workspace: on a terminal as a table, else a line for each, with tabs between the values.

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
        print_rows([_row(account) for account in found], omit=("platform", "monitoring", "created", "connected"))


def _row(account: Account) -> dict[str, object]:
    return {
        "account": account.id,
        "end user": account.end_user_id,
        "platform": account.platform_id,
        "connected": account.connected,
        "monitoring": account.monitoring_status,
        "created": account.created_at,
    }
