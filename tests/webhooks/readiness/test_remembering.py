"""What is remembered of an account, where, and until when."""

import pytest

from pinwheel_async.products import PRODUCTS
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._readiness import Readiness
from pinwheel_async.webhooks._readiness_state import NotReadyError
from pinwheel_async.webhooks._readiness_store import MOST, OwnValues

from .bodies import ACCOUNT, connection, job
from .helpers import Broken, Reports, hear


async def test_waiting_leaves_no_trace_of_unknown_accounts():
    """Anybody may ask about any id: nothing is stored for one that nobody has heard of."""
    store = Broken()
    with pytest.raises(NotReadyError):
        await Readiness(store).wait("guessed", timeout_s=0)

    assert {} == store.values._values


async def test_restart(tmp_path):
    """What was heard before a restart counts after it."""
    for body in (job("income.added"), job("paystubs.fully_synced")):
        inbox = SqliteInbox(tmp_path / "inbox.db")
        await inbox.open()
        readiness = Readiness(inbox)
        await hear(readiness, body)
        state = await readiness.get(ACCOUNT)
        await inbox.close()

    assert state.ready(["income", "paystubs"])


async def test_get_of_unknown_account(inbox):
    """Of an account that was not heard of, everything is waiting."""
    state = await Readiness(inbox).get(ACCOUNT)

    assert PRODUCTS == state.unfinished


async def test_forget(inbox):
    """A forgotten account is as one that was never heard of."""
    readiness = Readiness(inbox)
    Reports(readiness)
    await hear(readiness, *connection())
    await readiness.wait(ACCOUNT)
    await readiness.forget(ACCOUNT)

    assert await Readiness(inbox).get(ACCOUNT) == await readiness.get(ACCOUNT)


async def test_forget_leaves_nothing():
    """Nothing of a forgotten account stays in the store, save what other accounts left there."""
    store = Broken()
    readiness = Readiness(store)
    Reports(readiness)
    await hear(readiness, *connection())
    await readiness.forget(ACCOUNT)

    assert {} == store.values._values


async def test_forget_what_is_not_there(inbox):
    """Who forgets an account that was never heard of has forgotten it."""
    readiness = Readiness(inbox)

    await readiness.forget(ACCOUNT)

    assert PRODUCTS == (await readiness.get(ACCOUNT)).unfinished


async def test_size_of_an_account():
    """What is kept of an account is small, however many events came."""
    store = Broken()
    readiness = Readiness(store)
    for _ in range(10):
        await hear(readiness, *connection())

    assert sum(map(len, store.values._values.values())) < 2_000


async def test_own_values_are_bounded(monkeypatch):
    """Without an inbox, the oldest account makes way for the newest."""
    monkeypatch.setattr("pinwheel_async.webhooks._readiness_store.MOST", 2)
    values = OwnValues()
    for key in ("a", "b", "a", "c"):
        await values.save(key, b"")

    assert ["a", "c"] == list(values._values)
    assert MOST > 2


async def test_unreadable_value():
    """A stored value that cannot be read counts as none."""
    values = OwnValues()
    await values.save(f"readiness:{ACCOUNT}", b"[")

    assert PRODUCTS == (await Readiness(values).get(ACCOUNT)).unfinished


async def test_store_trouble_fails_the_handler():
    """An event that cannot be remembered is not taken as handled, so that it comes again."""
    store = Broken()
    store.broken = True

    await hear(Readiness(store), job(), failures=["InboxError"])
