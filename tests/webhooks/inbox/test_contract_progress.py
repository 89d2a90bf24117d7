"""What every inbox tells of the handlers of one delivery, and of its body."""

import logging

import pytest

from pinwheel_async.webhooks import DeliveryFilter, DeliveryProgress


async def test_unknown(inbox):
    """Of a delivery that is not known nothing is told."""
    assert await inbox.progress("event-1") is None
    assert await inbox.read_body("event-1") is None


async def test_waiting(inbox, deliver):
    """The first of its ordering key is due at once; the next waits behind it, whether or not a worker has looked."""
    await inbox.put(deliver("event-1"))
    await inbox.put(deliver("event-2"))
    await inbox.put(deliver("event-3", "another"))
    for _ in range(2):
        assert [0.0, None, 0.0] == [(await inbox.progress(f"event-{number}")).due_in_s for number in (1, 2, 3)]
        (claim, other) = await inbox.claim(2, lease_s=10)
        assert [None, None, None] == [(await inbox.progress(f"event-{number}")).due_in_s for number in (1, 2, 3)]
        await inbox.release(claim)
        await inbox.release(other)


async def test_failed(inbox, deliver, time):
    """After a failure it is told when the next attempt is due, who has returned, and how often the others failed."""
    await inbox.put(deliver("event-1"))
    (claim,) = await inbox.claim(1, lease_s=10)
    progress = b'{"shop.store":{"returned":true},"shop.mail":{"attempts":2,"backoff_s":5.0},"only":["store"],"x":7}'
    await inbox.fail(claim, reason="mail: LookupError", retry_in_s=60.0, progress=progress)

    time.advance(20)
    found = await inbox.progress("event-1")
    assert 40.0 == pytest.approx(found.due_in_s, abs=0.01)
    assert (("shop.store",), {"shop.mail": 2}, ("store",)) == (found.returned, found.failed, found.only)

    time.advance(100)
    assert 0.0 == (await inbox.progress("event-1")).due_in_s


@pytest.mark.parametrize("progress", [b"", b"not JSON", b"[1]", b'{"only":7}'])
async def test_odd_progress(inbox, deliver, progress):
    """What is not understood counts as not saved."""
    await inbox.put(deliver("event-1"))
    (claim,) = await inbox.claim(1, lease_s=10)
    await inbox.fail(claim, reason="r", retry_in_s=None, progress=progress)

    assert DeliveryProgress() == await inbox.progress("event-1")


async def test_revived(inbox, deliver):
    """What was revived is due at once, and what is done is never."""
    await inbox.put(deliver("event-1"))
    (claim,) = await inbox.claim(1, lease_s=10)
    await inbox.fail(claim, reason="r", retry_in_s=None)
    await inbox.revive(DeliveryFilter())
    assert DeliveryProgress(due_in_s=0.0) == await inbox.progress("event-1")

    (claim,) = await inbox.claim(1, lease_s=10)
    await inbox.done(claim)
    assert DeliveryProgress() == await inbox.progress("event-1")


async def test_body(inbox, deliver, caplog):
    """A body is there until the delivery is done, and the audit log says who has read it."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    await inbox.put(deliver("event-1", body=b"payroll"))
    assert b"payroll" == await inbox.read_body("event-1")
    assert "event-1 was read by" in caplog.text
    assert "payroll" not in caplog.text

    (claim,) = await inbox.claim(1, lease_s=10)
    await inbox.done(claim)
    assert await inbox.read_body("event-1") is None
