"""Claims as the tests make and compare them."""

from pinwheel_async.webhooks import Claim, Inbox

LEASE_S = 30.0


async def claim(inbox: Inbox, limit: int = 10) -> list[Claim]:
    return list(await inbox.claim(limit, lease_s=LEASE_S))


async def claim_one(inbox: Inbox) -> Claim:
    (only,) = await claim(inbox, 1)
    return only


def ids(claims: list[Claim]) -> list[str]:
    return [claim.delivery.event_id for claim in claims]
