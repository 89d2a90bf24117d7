"""Store: state of accounts, across restarts and until it is forgotten."""

import asyncio

import pytest

from pinwheel_async.products import PRODUCTS
from pinwheel_async.webhooks import SqliteInbox
from pinwheel_async.webhooks._readiness.readiness import Readiness
from pinwheel_async.webhooks._readiness.state import NotReadyError
from pinwheel_async.webhooks._readiness.store import MAX_VALUES, BoundedValues

from .bodies import ACCOUNT, connection, job
from .helpers import Broken, Reports, hear


async def test_waiting_leaves_no_trace_of_unknown_accounts():
    """Callers may ask about any id: nothing is stored of an account without events."""
    store = Broken()
    with pytest.raises(NotReadyError):
        await Readiness(store).wait("guessed", timeout_s=0)

    assert {} == store.values._values


async def test_restart(tmp_path):
    """Events from before a restart count after it."""
    for body in (job("income.added"), job("paystubs.fully_synced")):
        inbox = SqliteInbox(tmp_path / "inbox.db")
        await inbox.open()
        readiness = Readiness(inbox)
        await hear(readiness, body)
        state = await readiness.get(ACCOUNT)
        await inbox.close()

    assert state.ready(["income", "paystubs"])


async def test_get_of_unknown_account(inbox):
    """Of an account without events, everything is waiting."""
    state = await Readiness(inbox).get(ACCOUNT)

    assert PRODUCTS == state.unfinished


async def test_forget(inbox):
    """A forgotten account is like an account without events."""
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
    """An account without events can be forgotten, too."""
    readiness = Readiness(inbox)

    await readiness.forget(ACCOUNT)

    assert PRODUCTS == (await readiness.get(ACCOUNT)).unfinished


async def test_size_of_an_account():
    """The state of an account is small, however many events came."""
    store = Broken()
    readiness = Readiness(store)
    for _ in range(10):
        await hear(readiness, *connection())

    assert sum(map(len, store.values._values.values())) < 2_000


async def test_own_values_are_bounded(monkeypatch):
    """Without an inbox, the oldest account makes way for the newest."""
    monkeypatch.setattr("pinwheel_async.webhooks._readiness.store.MAX_VALUES", 2)
    values = BoundedValues()
    for key in ("a", "b", "a", "c"):
        await values.save(key, b"")

    assert ["a", "c"] == list(values._values)
    assert MAX_VALUES > 2


async def test_unreadable_value():
    """A stored value that cannot be read counts as none."""
    values = BoundedValues()
    await values.save(f"readiness:{ACCOUNT}", b"[")

    assert PRODUCTS == (await Readiness(values).get(ACCOUNT)).unfinished


async def test_store_trouble_fails_the_handler():
    """An event that cannot be remembered is not taken as handled, so that it comes again."""
    store = Broken()
    store.broken = True

    await hear(Readiness(store), job(), failures=["InboxError"])


async def test_erased_for_good():
    """Of an account that was erased for good no process records events or notes, until that is lifted."""
    store = Broken()
    readiness = Readiness(store)
    await hear(readiness, job("income.added"))
    await readiness.forget(ACCOUNT, for_good=True)
    other = Readiness(store)
    await hear(other, job("income.added"))
    await other._store.change_notes(ACCOUNT, lambda notes: notes)
    erased = await other._store.read(ACCOUNT)

    await readiness.lift_erasure(ACCOUNT)
    await hear(other, job("income.added"))

    assert (None, None) == erased
    assert (await other.get(ACCOUNT)).ready(["income"])
    assert not [key for key in store.values._values if key.startswith("readiness-erased:")]


async def test_no_id_stands_for_an_erased_account():
    """What is kept of an account that was erased for good does not hold its id."""
    store = Broken()
    await Readiness(store).forget(ACCOUNT, for_good=True)

    assert not [key for key, value in store.values._values.items() if ACCOUNT in key or ACCOUNT.encode() in value]


class Pausing(Broken):
    """A store that another process uses, too, between any two steps of this one; it pauses once before a step."""

    def __init__(self, values):
        super().__init__()
        self.values = values
        self.pause_before = None
        self.paused, self.go_on = asyncio.Event(), asyncio.Event()

    async def load(self, key):
        await self._step("load", key)
        return await super().load(key)

    async def save(self, key, value):
        await self._step("save", key)
        await super().save(key, value)

    async def _step(self, step, key):
        if (step, key.partition(":")[0]) == self.pause_before:
            self.pause_before = None
            self.paused.set()
            await self.go_on.wait()
        await asyncio.sleep(0)


async def record(readiness):
    await hear(readiness, job("income.added"))


async def note(readiness):
    await readiness._store.change_notes(ACCOUNT, lambda notes: notes)


@pytest.mark.parametrize("step", ["load", "save"])
@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (record, "readiness"),
        (record, "readiness-unfinished"),
        (note, "readiness-notes"),
        (note, "readiness-unfinished"),
    ],
)
async def test_erased_while_it_is_written(write, step, kind):
    """Nothing stays of an account that is erased for good while another process writes of it, wherever that is."""
    values = BoundedValues()
    store = Pausing(values)
    readiness = Readiness(store)
    Reports(readiness)
    store.pause_before = (step, kind)
    writing = asyncio.create_task(write(readiness))
    async with asyncio.timeout(30):
        await store.paused.wait()
        await Readiness(Pausing(values)).forget(ACCOUNT, for_good=True)
        store.go_on.set()
        await writing

    assert not [key for key in values._values if not key.startswith("readiness-eras")]


async def test_first_erasures_at_the_same_moment(tmp_path):
    """Processes that are the first to erase an account, at the same moment, each erase theirs for good."""
    inboxes = [SqliteInbox(tmp_path / "inbox.db") for _ in range(4)]
    for inbox in inboxes:
        await inbox.open()
    accounts = [f"account-{number}" for number in range(len(inboxes))]
    erasing = zip(inboxes, accounts, strict=True)
    await asyncio.gather(*[Readiness(inbox).forget(account, for_good=True) for inbox, account in erasing])
    for account in accounts:
        await hear(Readiness(inboxes[0]), job("income.added", account_id=account))
    states = [await Readiness(inboxes[0]).get(account) for account in accounts]
    for inbox in inboxes:
        await inbox.close()

    assert [PRODUCTS] * len(accounts) == [state.unfinished for state in states]
