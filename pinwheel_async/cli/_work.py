"""Command `pinwheel-async work`: handles what an inbox holds, beside receivers that only store."""

import asyncio
import logging
import sys
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._options import InboxPlace, load_router
from pinwheel_async.cli._signals import leaving_threads
from pinwheel_async.webhooks import work as handle

_DEFAULT = InboxPlace()


async def work(
    *,
    handlers: str,
    inbox: InboxPlace = _DEFAULT,
    consumer: str = "receiver",
    concurrency: Annotated[int, Parameter(validator=Number(gte=1))] = 16,
    lease_s: Annotated[float, Parameter(validator=Number(gt=0))] = 15.0,
    shutdown_timeout_s: Annotated[float, Parameter(validator=Number(gte=0))] = 10.0,
) -> None:
    """Handle what an inbox holds, until SIGTERM or SIGINT; then let running handlers finish, and end with 0.

    Parameters
    ----------
    handlers:
        Where the router with the handlers is: module:name, such as shop.hooks:router.
    consumer:
        Name of what handles the deliveries, as the receivers have it.
    concurrency:
        Most accounts worked on side by side.
    lease_s:
        Seconds after which another worker takes over what this one was handling when its machine died.
    shutdown_timeout_s:
        Seconds that running handlers get to finish; the rest stays in the inbox.
    """
    logging.basicConfig(format="pinwheel-async: %(message)s", stream=sys.stderr)
    logging.getLogger("pinwheel_async.webhooks").setLevel(logging.INFO)
    router = await asyncio.to_thread(load_router, handlers)
    async with leaving_threads():
        await handle(
            router,
            inbox=inbox.make(consumer=consumer, create=True),
            concurrency=concurrency,
            lease_s=lease_s,
            shutdown_timeout_s=shutdown_timeout_s,
        )
