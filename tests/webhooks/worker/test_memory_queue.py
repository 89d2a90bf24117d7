"""Queue in memory of what is claimed: what may not begin any more."""

from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._inbox.base import Claim
from pinwheel_async.webhooks._inbox.hand_over import Handed
from pinwheel_async.webhooks._worker.memory_queue import MemoryQueue


def handed(token: int) -> Handed:
    """Return the first of a chain, which may begin at 0 and no later."""
    delivery = make_delivery({}, b'{"event_id": "1", "event": "e", "payload": {"account_id": "a"}}', key="k")
    claim = Claim(delivery=delivery, attempt=1, token=token, interrupted=0)
    return Handed(claim, token, 30.0, is_first=True, begin_by=0.0)


def test_claimed_again_and_late():
    """A claim that comes while an older one of its account is to be marked is given back if it is too late to begin."""
    now = [0.0]
    memory = MemoryQueue(lease_s=30, monotonic=lambda: now[-1], wake=lambda: None)
    memory.take([handed(1)])
    begun = memory.next()
    assert begun is not None
    memory.end(begun[0], ok=True)
    memory.take([handed(2)])
    now.append(1.0)

    memory.start_marking()

    assert [2] == [claim.token for claim in memory.late]
