"""Command `pinwheel-async get`: prints an account, or one of its products, as JSON."""

from typing import Any, Literal, TypeAlias

from pinwheel_async._core.converter import encode
from pinwheel_async.cli._options import Connection
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.products import Product

What: TypeAlias = Literal["account"] | Product


async def get(what: What, account_id: str, /, *, connection: Connection | None = None) -> None:
    """Print an account, or one of its products, as JSON: payroll data. Of a list, each object is a line.

    Parameters
    ----------
    what:
        What to read.
    account_id:
        Whose it is.
    """
    async with (connection or Connection()).open() as pinwheel:
        if what == "account":
            print(_json(await pinwheel.accounts.get(account_id)))
            return
        endpoints: Any = getattr(pinwheel, what)
        if not hasattr(endpoints, "list"):
            print(_json(await endpoints.get(account_id)))
            return
        items: Paged[Any] = endpoints.list(account_id)
        async for item in items:
            print(_json(item))


def _json(item: Any) -> str:
    return encode(item, nulls=True).decode()
