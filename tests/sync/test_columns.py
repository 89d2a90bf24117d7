"""What no column can hold."""

import pytest

from pinwheel_async.sync import Batch
from pinwheel_async.sync._columns import unstorable
from pinwheel_async.testing import make_income


@pytest.mark.parametrize(
    ("cents", "fits"), [(-(2**63) - 1, False), (-(2**63), True), (2**63 - 1, True), (2**63, False)]
)
def test_whole_numbers(cents: int, fits: bool):
    """A column holds the whole numbers of 64 bits with a sign, the smallest of them included."""
    batch = Batch(kind="income", account_id="account", items=(make_income(compensation_amount=cents),))

    assert unstorable(batch) == (() if fits else ("data[0].compensation_amount: beyond 64 bits",))
