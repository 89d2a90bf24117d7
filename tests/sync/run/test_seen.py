"""Ids that were seen."""

from pinwheel_async.sync._run.seen import SeenIds


def test_what_was_added():
    """Every id that was added is there."""
    seen, ids = SeenIds(), [f"account {number}" for number in range(10_000)]

    seen.update(ids)

    assert all(account_id in seen for account_id in ids)


def test_what_was_not_added():
    """Hardly an id that was not added is there."""
    seen = SeenIds()
    seen.update(f"account {number}" for number in range(10_000))

    assert sum(f"other {number}" in seen for number in range(10_000)) < 20
