"""The fake's cursors."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from pinwheel_async.testing._cursors import CursorRefusedError, Cursors

NOW = datetime(2026, 3, 17, tzinfo=UTC)


@given(st.text(), st.integers(-(1 << 63), (1 << 63) - 1))
def test_round_trip(listing, rank):
    """A cursor holds its place in its list."""
    cursors = Cursors()

    assert rank == cursors.read(listing, cursors.make(listing, rank, NOW))


def test_form():
    """A cursor looks like the real ones: 184 characters, URL-safe but for its padding."""
    cursor = Cursors().make("list", 1, NOW)

    assert 184 == len(cursor)
    assert cursor.startswith("gAAAAA")
    assert cursor.replace("-", "").replace("_", "").rstrip("=").isalnum()


def test_never_equal():
    """The same place gives another cursor each time."""
    cursors = Cursors()

    assert 50 == len({cursors.make("list", 1, NOW) for _ in range(50)})


def test_other_list():
    """A cursor is worthless for another list."""
    cursors = Cursors()

    with pytest.raises(CursorRefusedError):
        cursors.read("other", cursors.make("list", 1, NOW))


@given(st.integers(6, 180), st.sampled_from("AZ09"))
def test_forged(at, letter):
    """A cursor in which one character was changed is refused, or was not changed."""
    cursors = Cursors()
    good = cursors.make("list", 1, NOW)
    forged = good[:at] + letter + good[at + 1 :]

    if forged == good:
        assert 1 == cursors.read("list", forged)
    else:
        with pytest.raises(CursorRefusedError):
            cursors.read("list", forged)


@given(st.text())
def test_nonsense(text):
    """Text that is no cursor is refused, whatever it is."""
    with pytest.raises(CursorRefusedError):
        Cursors().read("list", text)


def test_expire():
    """After `expire` the cursors of before are refused, and new ones work."""
    cursors = Cursors()
    old = cursors.make("list", 1, NOW)
    cursors.expire()

    with pytest.raises(CursorRefusedError):
        cursors.read("list", old)
    assert 2 == cursors.read("list", cursors.make("list", 2, NOW))
