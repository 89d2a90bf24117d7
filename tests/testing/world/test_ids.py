"""Ids of the made-up world."""

from uuid import UUID

import pytest

from pinwheel_async.testing._world.ids import Ids


def test_account_id_leads_back():
    """The id of an account leads back to its number, however large."""
    ids = Ids(7)

    assert [0, 1, 19_999, (1 << 32) - 1] == [ids.index(ids.account(index)) for index in (0, 1, 19_999, (1 << 32) - 1)]


def test_ids_are_uuids():
    """Every id is a UUID of version 4."""
    ids = Ids(7)

    assert {4} == {UUID(made).version for made in (ids.account(3), ids.make("paystub", 3, 4))}


@pytest.mark.parametrize("wrong", ["", "nonsense", "00000000-0000-0000-0000-000000000000", Ids(8).account(1)])
def test_foreign_ids(wrong):
    """What is no account of this seed leads nowhere."""
    assert Ids(7).index(wrong) is None


def test_seeds_differ():
    """Another seed gives other ids and other choices."""
    assert Ids(1).make("paystub", 1) != Ids(2).make("paystub", 1)
    assert Ids(1).random("paystub", 1).random() != Ids(2).random("paystub", 1).random()


def test_kinds_differ():
    """Things of two kinds with the same number have two ids."""
    assert Ids(1).make("paystub", 1) != Ids(1).make("shift", 1)
