"""`pinwheel-async demo`."""

import asyncio
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from pinwheel_async.cli._options import database_url
from pinwheel_async.cli._receiving import receiving
from pinwheel_async.cli._show import event_counter, print_events, print_report, progress_bar
from pinwheel_async.client import Pinwheel
from pinwheel_async.events import Event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.sync import SqlSink, sync
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import Entry, Router, SqliteInbox

# So many people connect while the receiver listens; the others of the workspace did so before.
_CONNECTING = 40
_AT_ONCE = 20
_STEP_S = 5.0
_POLL_S = 0.02


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
    # Nobody is to wait for the forty seconds that a Link session takes; a slow machine may take its time for answers.
    fake = FakePinwheel(accounts=accounts, real_time=True, patience_s=30)
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
        # What the fake lost with this machine, nobody would miss: it need not be flushed to the disk.
        inbox = SqliteInbox(Path(folder) / "inbox.db", synchronous="NORMAL")

        @router.on(Event)
        async def tell(_: Event) -> None:
            count()

        async with receiving(router, secret=fake.api_secret, inbox=inbox, path="/webhooks/pinwheel") as url:
            fake.subscribe(url)
            await _connect(fake)
            while (counts := await inbox.counts()).waiting or counts.claimed:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(_POLL_S)
            return list(await inbox.entries(limit=counts.done + counts.dead))


async def _connect(fake: FakePinwheel) -> None:
    """Play the Link sessions of some accounts, in less time than they would take."""
    ids = list(islice(fake.world.account_ids(), _CONNECTING))
    longest_s = 0.0
    for first in range(0, len(ids), _AT_ONCE):
        sessions = await asyncio.gather(*[fake.connect(one) for one in ids[first : first + _AT_ONCE]])
        longest_s = max(longest_s, *[one.duration_s for one in sessions])
    for _ in range(int(longest_s / _STEP_S) + 1):
        await fake.advance(_STEP_S)
