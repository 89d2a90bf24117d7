"""The fake's cursors."""

import pytest
from hypothesis import given, strategies as st

from pinwheel_async.testing._api.cursors import Cursors


@given(st.text(), st.integers(-(1 << 63), (1 << 63) - 1))
def test_round_trip(listing, rank):
    """A cursor stands for its place in its list, however often it is used."""
    cursors = Cursors()
    cursor = cursors.make(listing, rank)

    assert [rank] * 2 == [cursors.find(listing, cursor) for _ in range(2)]


def test_form():
    """A cursor looks like the real ones: 184 characters, URL-safe but for its padding."""
    cursor = Cursors().make("list", 1)

    assert 184 == len(cursor)
    assert cursor.startswith("gAAAAA")
    assert cursor.endswith("=")
    assert cursor.replace("-", "").replace("_", "").rstrip("=").isalnum()


def test_never_equal():
    """The same place gives another cursor each time."""
    cursors = Cursors()

    assert 50 == len({cursors.make("list", 1) for _ in range(50)})


def test_other_list():
    """A cursor is worthless for another list."""
    cursors = Cursors()

    assert cursors.find("other", cursors.make("list", 1)) is None


@given(st.integers(6, 180), st.sampled_from("AZ09"))
def test_forged(at, letter):
    """A cursor in which one character was changed is refused, or was not changed."""
    cursors = Cursors()
    good = cursors.make("list", 1)
    forged = good[:at] + letter + good[at + 1 :]

    assert (1 if forged == good else None) == cursors.find("list", forged)


@given(st.text())
def test_nonsense(text):
    """Text that is no cursor is refused, whatever it is."""
    assert Cursors().find("list", text) is None


def test_expire():
    """After `expire` the cursors of before are refused, and new ones work."""
    cursors = Cursors()
    old = cursors.make("list", 1)
    cursors.expire()

    assert cursors.find("list", old) is None
    assert 2 == cursors.find("list", cursors.make("list", 2))


@pytest.mark.parametrize(("later", "found"), [(2, 0), (3, None)])
def test_memory_is_bounded(monkeypatch, later, found):
    """However many are made, only so many cursors are known: the oldest expire first."""
    monkeypatch.setattr("pinwheel_async.testing._api.cursors._KEPT", 3)
    cursors = Cursors()
    first = cursors.make("list", 0)
    for rank in range(1, later + 1):
        cursors.make("list", rank)

    assert found == cursors.find("list", first)
