"""Requests of a nightly run over a copy of which hardly anything has changed."""

from pathlib import Path
from random import Random

from pinwheel_async import PRODUCTS, Pinwheel
from pinwheel_async.sync import SqlSink, sync
from pinwheel_async.testing import FakePinwheel

ACCOUNTS = 400
PAGES = 4
"""Pages of the list of accounts."""


async def test_nightly_run(tmp_path: Path):
    """A run after 1 % of all products changed asks for the accounts, and for what changed, and for nothing else."""
    dice = Random(1)
    async with (
        FakePinwheel(accounts=ACCOUNTS) as fake,
        Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel,
    ):
        sink = SqlSink(f"sqlite:///{tmp_path / 'payroll.db'}")
        await sync(pinwheel, sink)
        units = [
            (account, product) for account in fake.world.account_ids() for product in PRODUCTS if product != "tax_forms"
        ]
        changed = dice.sample(units, len(units) // 100)
        for account_id, product in changed:
            fake.world.touch(account_id, product)
        fake.clear_records()

        report = await sync(pinwheel, sink)

        assert fake.counts.total() == PAGES + len(changed)
        assert (report.ok, report.unchanged) == (True, ACCOUNTS * len(PRODUCTS) - len(changed))
