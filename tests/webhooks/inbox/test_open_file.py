"""Lock of an open inbox: who holds it alone, and who has to wait for that."""

import threading

import pytest

from pinwheel_async.webhooks._inbox.open_file import OpenLock


@pytest.fixture
def locks(path):
    """Two inboxes' locks on the same file."""
    locks = (OpenLock(str(path)), OpenLock(str(path)))
    yield locks
    for lock in locks:
        lock.release()


def test_first_is_alone(locks):
    """The first one holds it alone; while it shares it, the second one does not; once it is given up, that one does."""
    first, second = locks
    alone = [first.try_exclusive()]
    first.share()
    alone.append(second.try_exclusive())
    second.release()
    first.release()
    alone.append(second.try_exclusive())

    assert [True, False, True] == alone


def test_second_holds_it_too(path, locks):
    """One that is not alone holds the lock as well: when the first has gone, a third is not alone."""
    first, second = locks
    third = OpenLock(str(path))
    first.try_exclusive()
    first.share()
    second.try_exclusive()
    first.release()
    alone = [third.try_exclusive()]
    third.release()
    second.release()
    alone.append(third.try_exclusive())
    third.release()

    assert [False, True] == alone


def test_held_already(locks):
    """A lock that is held is not taken again, shared or not: its inbox may have claimed something."""
    first, _ = locks
    first.try_exclusive()
    again = [first.try_exclusive()]
    first.share()
    again.append(first.try_exclusive())

    assert [False, False] == again


def test_second_waits_for_the_first(locks):
    """While one holds it alone, another one does not get it, until it is shared."""
    first, second = locks
    order = []
    alone = first.try_exclusive()
    thread = threading.Thread(target=lambda: order.append(second.try_exclusive()))
    thread.start()
    order.append("shared")
    first.share()
    thread.join(30)

    assert (True, ["shared", False]) == (alone, order)


def test_no_lock_to_be_had(path, caplog):
    """Where the file cannot be opened, nothing is ever held alone, nothing fails, and the log says why."""
    path.mkdir()
    lock = OpenLock(str(path))
    alone = lock.try_exclusive()
    lock.share()
    lock.release()

    assert not alone
    assert [("WARNING", True, True)] == [
        (record.levelname, str(path) in record.message, "EISDIR" in record.message) for record in caplog.records
    ]
