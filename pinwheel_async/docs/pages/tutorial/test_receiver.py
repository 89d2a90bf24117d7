"""Tests of the receiver, against a fake of the API that sends signed webhooks."""

import sqlite3
from contextlib import closing
from pathlib import Path

from aiohttp.test_utils import TestServer
from receiver import make_app

from pinwheel_async import Pinwheel
from pinwheel_async.testing import FakePinwheel


async def test_paystubs_of_a_new_account(tmp_path: Path) -> None:
    """Every paystub of somebody who connects is in the table, once, although webhooks come twice and out of order."""
    database = str(tmp_path / "pay.db")
    async with FakePinwheel() as fake:
        app = make_app(
            Pinwheel(fake.api_secret, base_url=fake.base_url), fake.api_secret, database=database, inbox=None
        )
        async with TestServer(app) as server:
            fake.subscribe(str(server.make_url("/webhooks/pinwheel")))
            fake.webhook_faults(duplicate=0.5, reorder=0.5)
            session = await fake.connect()
            await fake.advance(session.duration_s + 600)  # the fake's time stands still until a test turns it ahead
            announced = fake.world.records(session.account_id, "paystubs")
    with closing(sqlite3.connect(database)) as opened:
        stored = dict(opened.execute("SELECT id, cents FROM pay WHERE account_id = ?", [session.account_id]))

    assert stored == {paystub["id"]: paystub["net_pay_amount"] for paystub in announced}
    assert len(stored) > 20


async def test_delivery_of_somebody_else(tmp_path: Path) -> None:
    """What is signed with another secret is refused, and nothing is stored."""
    database = str(tmp_path / "pay.db")
    async with FakePinwheel() as fake:
        app = make_app(
            Pinwheel(fake.api_secret, base_url=fake.base_url), fake.api_secret, database=database, inbox=None
        )
        async with TestServer(app) as server:
            fake.subscribe(str(server.make_url("/webhooks/pinwheel")), secret="not-our-secret")
            await fake.deliver("paystubs.added")

            assert [attempt.status for attempt in fake.deliveries] == [401]
    with closing(sqlite3.connect(database)) as opened:
        assert opened.execute("SELECT count(*) FROM pay").fetchone() == (0,)
