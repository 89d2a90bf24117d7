"""Hashed ids: what is the same in a file and in PostgreSQL."""

import pytest

from pinwheel_async.webhooks import DeliveryFilter

ACCOUNT = "7c2d5a3e-1f50-4a7e-9b1c-0d2e4f6a8b0c"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("as_shown", [False, True])
async def test_filters_take_the_id_or_its_hash(any_inbox, deliver_apart, kind, as_shown):
    """Entries, previews and purges are asked for by the account, or by the hash that is shown in its place."""
    inbox = any_inbox(kind, key=b"k" * 32, hash_ids=True)
    await inbox.open()
    await inbox.put(deliver_apart("1", ordering_key=ACCOUNT))
    await inbox.put(deliver_apart("2"))
    (shown,) = {entry.ordering_key for entry in await inbox.entries(DeliveryFilter(event_ids="1"))}
    account = DeliveryFilter(ordering_key=shown if as_shown else ACCOUNT)
    found = [entry.event_id for entry in await inbox.entries(account)]
    meant, purged = await inbox.preview(account), await inbox.purge(account)
    await inbox.close()

    assert (["1"], 1, 1) == (found, meant.deliveries, purged)
