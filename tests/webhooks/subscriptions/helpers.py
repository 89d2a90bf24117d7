"""Helpers of the tests of subscriptions."""

from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Router

URL = "https://example.com/hooks/secret-path"
MINE = f"{URL}#mine"
VERSION = "2025-07-08"


async def ignore(event: Event) -> None: ...


def router_of(*kinds):
    router = Router()
    for kind in kinds or (IncomeAdded,):
        router.on(kind)(ignore)
    return router


async def fill(there, count):
    """Use up a part of the quota with what is not ours."""
    return [await there(f"https://example.com/other/{number}#other") for number in range(count)]


async def kinds_of(subscriptions):
    return [problem.kind for problem in await subscriptions.check()]


def operations(fake):
    return [request.operation for request in fake.requests]
