"""`pinwheel-async inbox`: look at what a receiver has stored, and clear up."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from pinwheel_async.cli._options import Json, inbox_key
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import Entry, SqliteInbox

File = Annotated[Path, Parameter(name="--inbox", help="SQLite file of the inbox.")]
State = Literal["waiting", "claimed", "done", "dead"]

_DAY_S = 86_400
_STEPS = ((_DAY_S, "d"), (3_600, "h"), (60, "min"))


async def counts(*, inbox: File = Path("inbox.db"), json: Json = False) -> None:
    """Count deliveries by state."""
    async with open_inbox(inbox) as opened:
        found = await opened.counts()
    if json:
        print(dumps(attrs.asdict(found)))
        return
    for name in ("waiting", "claimed", "done", "dead"):
        print(f"{name:8}{getattr(found, name):>8,}")
    if found.oldest_waiting_s is not None:
        print(f"the oldest that waits came {age_of(found.oldest_waiting_s)} ago")


async def show(
    *,
    inbox: File = Path("inbox.db"),
    state: State | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: Json = False,
) -> None:
    """List deliveries, newest first, never what is in them.

    Parameters
    ----------
    state:
        Only those in this state; all when left out.
    limit:
        Most deliveries to list.
    """
    async with open_inbox(inbox) as opened:
        found = await opened.entries(state=state, limit=limit)
    if json:
        print(dumps([attrs.asdict(one) for one in found]))
    else:
        _print_table(found)


async def revive(
    event_id: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    /,
    *,
    inbox: File = Path("inbox.db"),
    json: Json = False,
) -> None:
    """Let dead deliveries be handled again; a receiver that runs takes them up within seconds.

    Parameters
    ----------
    event_id:
        Which ones; all that are dead when left out.
    """
    async with open_inbox(inbox) as opened:
        revived = await opened.revive(event_id or None)
    print(dumps({"revived": revived}) if json else f"revived {revived:,}")


async def purge(
    *,
    inbox: File = Path("inbox.db"),
    lane: str | None = None,
    done_before_days: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    json: Json = False,
) -> None:
    """Forget deliveries for good; one that was forgotten is taken for new if it comes again.

    Parameters
    ----------
    lane:
        Account, or other owner, to forget everything of.
    done_before_days:
        Forget only what was done so many days ago.
    """
    if lane is None and done_before_days is None:
        raise ConfigurationError("say what to forget: --lane, --done-before-days, or both")
    before_s = None if done_before_days is None else done_before_days * _DAY_S
    async with open_inbox(inbox) as opened:
        purged = await opened.purge(done_before_s=before_s, lane=lane)
    print(dumps({"purged": purged}) if json else f"purged {purged:,}")


@asynccontextmanager
async def open_inbox(path: Path) -> AsyncGenerator[SqliteInbox]:
    """Open an inbox that is there; close it in the end."""
    inbox = _found(path)
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


def _found(path: Path) -> SqliteInbox:
    if not path.is_file():  # it would be made
        raise ConfigurationError(f"there is no inbox at {path}")
    return SqliteInbox(path, key=inbox_key())


def _print_table(entries: Sequence[Entry]) -> None:
    now = time.time()
    table = Table()
    for heading in ("event id", "event", "lane", "state", "attempts", "age", "reason"):
        table.add_column(heading, overflow="fold", justify="right" if heading in {"attempts", "age"} else "left")
    for one in entries:
        age = age_of(now - one.received_at)
        table.add_row(one.event_id, one.event, one.lane, one.state, str(one.attempts), age, one.reason)
    Console(highlight=False, markup=False).print(table)


def age_of(seconds: float) -> str:
    """Write how long ago something was, in its largest unit."""
    return next((f"{seconds / size:.0f} {unit}" for size, unit in _STEPS if seconds >= size), f"{seconds:.0f} s")
