"""Command `pinwheel-async demo`: a receiver and a sync against a made-up API on this machine."""

import asyncio
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from pinwheel_async.cli._options import database_url
from pinwheel_async.cli._render import event_counter, print_events, print_report, progress_bar
from pinwheel_async.cli._server import receiving
from pinwheel_async.client import Pinwheel
from pinwheel_async.events import Event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import SqlSink, sync
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import Entry, Router, SqliteInbox

_CONNECTING = 40
"""Accounts that connect while the receiver listens, which makes about 650 webhooks in some seconds; the others of the
workspace connected before."""

_POLL_S = 0.02
"""Seconds between two looks at the inbox: short beside the seconds that the demonstration takes."""


async def demo(
    *,
    accounts: Annotated[int, Parameter(validator=Number(gte=1))] = 300,
    database: Path = Path("pinwheel_demo.db"),
) -> None:
    """Receive the webhooks of made-up people who connect, then copy the whole workspace into a SQLite file.

    It needs no API key and no network: a made-up API and a receiver of its webhooks run on this machine meanwhile.

    Parameters
    ----------
    accounts:
        How many accounts to make up.
    database:
        SQLite file to write to; running again updates it.
    """
    # The clock of the fake is turned ahead, because a Link session takes forty seconds. It waits up to 30 s for an
    # answer of the receiver, so that a slow machine causes no retries.
    fake = FakePinwheel(accounts=accounts, speed=1, patience_s=30)
    async with fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        entries = await _receive(fake)
        with progress_bar(len(PRODUCTS)) as show:
            report = await sync(pinwheel, SqlSink(database_url(str(database))), on_progress=show)
    print_events(entries)
    print_report(report)
    Console(highlight=False, soft_wrap=True).print(f"Look into it: sqlite3 {database}", markup=False)


async def _receive(fake: FakePinwheel) -> list[Entry]:
    """Connect some accounts; return all deliveries as they stand in the inbox."""
    router = Router()
    with TemporaryDirectory() as folder, event_counter() as count:
        # NORMAL does not flush each delivery to the disk: made-up ones may be lost with the machine.
        inbox = SqliteInbox(Path(folder) / "inbox.db", synchronous="NORMAL")

        @router.on(Event)
        async def count_event(_: Event) -> None:
            count()

        async with receiving(router, secret=fake.api_secret, inbox=inbox, path="/webhooks/pinwheel") as url:
            fake.subscribe(url)
            await _connect(fake)
            while (counts := await inbox.counts()).waiting or counts.claimed:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(_POLL_S)
            return list(await inbox.entries(limit=counts.done + counts.dead))


async def _connect(fake: FakePinwheel) -> None:
    """Play the Link sessions of some accounts, in less time than they would take."""
    account_ids = islice(fake.world.account_ids(), _CONNECTING)
    sessions = await asyncio.gather(*[fake.connect(account_id) for account_id in account_ids])
    await fake.advance(max(session.duration_s for session in sessions))
