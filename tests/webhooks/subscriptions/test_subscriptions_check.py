"""Problems of a subscription."""

import pytest

from pinwheel_async.events import DirectDepositPaymentAdded, IncomeAdded, ShiftsAdded

from .helpers import MINE, URL, kinds_of


async def test_check_finds_nothing(subscriptions, there):
    """A webhook that fits has no problem."""
    await there()

    assert () == await subscriptions().check()


async def test_check_missing(subscriptions):
    """It is a problem if nothing is registered, as everything then looks healthy and stays quiet."""
    (problem,) = await subscriptions().check()

    assert ("missing", "no webhook delivers to https://example.com/…#mine") == (problem.kind, problem.text)


async def test_check_missing_event(subscriptions, there):
    """It is a problem if a handler waits for an event that was not asked for, and it is named."""
    webhook_id = await there()

    (problem,) = await subscriptions(IncomeAdded, ShiftsAdded).check()

    assert ("events_missing", f"webhook {webhook_id} lacks shifts.added") == (problem.kind, problem.text)


@pytest.mark.parametrize(
    ("kinds", "given"),
    [
        (["events_unused"], {"events": ["income.added", "bill.added"]}),
        (["paused"], {"status": "paused"}),
        (["version"], {"version": "2023-11-22"}),
        (["version", "paused", "events_missing", "events_unused"], {"events": ["bill.added"]}),
    ],
)
async def test_check_state(subscriptions, there, kinds, given):
    """Each problem of the webhook itself is told."""
    more = {"version": "2023-11-22", "status": "paused"} if len(kinds) > 1 else {}
    await there(**given, **more)

    assert kinds == await kinds_of(subscriptions())


async def test_check_others(subscriptions, there):
    """Duplicates, strays, and other people's webhooks of the same URL are told."""
    for url in (MINE, MINE, "https://old.example.com#mine", URL, f"{URL}#other", "https://example.com"):
        await there(url)

    assert ["duplicate", "stray", "same_url", "same_url"] == await kinds_of(subscriptions())


async def test_check_retired(subscriptions, there):
    """A handler of a retired event will never be called, and that is told."""
    await there()

    assert ["retired"] == await kinds_of(subscriptions(IncomeAdded, DirectDepositPaymentAdded))


async def test_check_shows_no_url(subscriptions, there):
    """No problem shows the path of a URL."""
    await there("https://old.example.com/planted#mine")
    problems = await subscriptions(url="https://example.com/planted").check()

    assert 2 == len(problems)
    assert "planted" not in repr(problems)
