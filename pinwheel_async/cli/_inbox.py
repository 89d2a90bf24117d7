"""Commands `pinwheel-async inbox ...`: count, list, revive, replay and purge what a receiver has stored."""

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from attrs import evolve, frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._options import InboxPlace, Json, duration, inbox_key, inbox_old_keys, open_inbox
from pinwheel_async.cli._render import age_of, print_rows
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import find_secret
from pinwheel_async.webhooks import DeliveryFilter, Entry, Preview, Readiness, backup_inbox, check_inbox, move_inbox

if TYPE_CHECKING:
    from pinwheel_async.webhooks import PostgresInbox

DryRun = Annotated[bool, Parameter(show_default=False, help="Say what would be done, and do nothing.")]
EventIds = Annotated[tuple[str, ...], Parameter(show_default=False, help="Ids of events; any when left out.")]
State = Literal["waiting", "claimed", "done", "dead"]

_DEFAULT = InboxPlace()

_MANY_EVENTS = 8
"""Events that are named in a line about what is done; the rest is a number."""


@Parameter(name="*")
@frozen(kw_only=True)
class Chosen:
    """Which deliveries are meant: those that agree with everything that is said.

    Parameters
    ----------
    state:
        Only those in one of these states.
    event:
        Only these events, such as paystubs.added, or a family of them, such as paystubs.*.
    account:
        Only those of this account, or of another owner if they name no account.
    reason:
        Only those whose last failure has this text in its reason.
    before:
        Only those that came before this: a day or a moment, in UTC unless it says otherwise, or an age: 7d, 12h, 30min.
    after:
        Only those that came then or later.
    """

    state: Annotated[tuple[State, ...], Parameter(show_default=False)] = ()
    event: Annotated[tuple[str, ...], Parameter(show_default=False)] = ()
    account: Annotated[str | None, Parameter(name=["--account", "--ordering-key"])] = None
    reason: str | None = None
    before: str | None = None
    after: str | None = None

    def filter(self, event_ids: Sequence[str] = ()) -> DeliveryFilter:
        """Return what was said as a filter."""
        return DeliveryFilter(
            states=self.state,
            events=self.event,
            ordering_key=self.account,
            reason=self.reason,
            received_before=None if self.before is None else _moment("--before", self.before),
            received_after=None if self.after is None else _moment("--after", self.after),
            event_ids=event_ids or None,
        )


_ANY = Chosen()


async def counts(*, inbox: InboxPlace = _DEFAULT, json: Json = False) -> None:
    """Count deliveries by state."""
    async with open_inbox(inbox, read_only=True) as opened:
        found = await opened.counts()
    if json:
        print(dumps(found.to_dict()))
        return
    for name in ("waiting", "claimed", "done", "dead"):
        print(f"{name:8}{getattr(found, name):>8,}")
    if found.oldest_waiting_s is not None:
        print(f"the oldest that waits came {age_of(found.oldest_waiting_s)} ago")
    if found.disk_free_bytes is not None:
        print(f"{found.disk_free_bytes // 1024**2:,} MiB are free on the disk")


async def show(
    event_id: EventIds = (),
    /,
    *,
    inbox: InboxPlace = _DEFAULT,
    chosen: Chosen = _ANY,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: Json = False,
) -> None:
    """List deliveries, newest first, never what is in them.

    Parameters
    ----------
    limit:
        Most deliveries to list.
    """
    async with open_inbox(inbox, read_only=True) as opened:
        found = await opened.entries(chosen.filter(event_id), limit=limit)
    if json:
        print(dumps([entry.to_dict() for entry in found]))
    else:
        print_rows(
            [_row(entry) for entry in found], omit=("attempts", "received", "ordering key", "event"), fold="reason"
        )


async def revive(
    event_id: EventIds = (),
    /,
    *,
    inbox: InboxPlace = _DEFAULT,
    chosen: Chosen = _ANY,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let dead deliveries be handled again, all that are meant; a receiver that runs takes them up within seconds.

    What is going to be done is said on stderr first.
    """
    if set(chosen.state) - {"dead"}:
        raise ConfigurationError("only dead deliveries can be revived: leave --state out")
    dead = evolve(chosen.filter(event_id), states=("dead",))
    async with open_inbox(inbox, read_only=dry_run) as opened:
        preview = await opened.preview(dead)
        if dry_run:
            _print_preview("would revive", preview, json=json)
            return
        _announce("revives", preview)
        revived = await opened.revive(dead)
    print(dumps({"revived": revived}) if json else f"revived {revived:,}")


async def purge(
    event_id: EventIds = (),
    /,
    *,
    inbox: InboxPlace = _DEFAULT,
    chosen: Chosen = _ANY,
    everything: Annotated[bool, Parameter(name="--all", show_default=False)] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Forget deliveries for good, in whatever state; one that was forgotten is taken for new if it comes again.

    What is going to be done is said on stderr first. It goes in portions, so that a receiver goes on meanwhile; what is
    interrupted can be done again.

    Parameters
    ----------
    everything:
        Forget everything, also what waits.
    """
    meant = chosen.filter(event_id)
    _require_choice("forget", meant, everything=everything)
    async with open_inbox(inbox, read_only=dry_run) as opened:
        preview = await opened.preview(meant)
        if dry_run:
            _print_preview("would purge", preview, json=json)
            return
        _announce("purges", preview)
        purged = await opened.purge(meant)
    print(dumps({"purged": purged}) if json else f"purged {purged:,}")


async def replay(
    event_id: EventIds = (),
    /,
    *,
    inbox: InboxPlace = _DEFAULT,
    chosen: Chosen = _ANY,
    everything: Annotated[bool, Parameter(name="--all", show_default=False)] = False,
    handler: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let deliveries be handled again that are done and whose bodies were kept, or that are dead, in their old order.

    What is going to be done is said on stderr first. A receiver that runs takes them up within seconds.

    Parameters
    ----------
    everything:
        Replay everything that has a body.
    handler:
        Only handlers with one of these names run, as the log shows them; all when left out.
    """
    if set(chosen.state) - {"done", "dead"}:
        raise ConfigurationError("only deliveries that are done or dead can be replayed: --state done, dead or neither")
    meant = chosen.filter(event_id)
    _require_choice("replay", meant, everything=everything)
    ended = evolve(meant, states=meant.states or ("done", "dead"), with_body=True)
    async with open_inbox(inbox, read_only=dry_run) as opened:
        preview = await opened.preview(ended)
        if dry_run:
            _print_preview("would replay", preview, json=json)
            return
        _announce("replays", preview)
        replayed = await opened.replay(ended, handlers=handler)
    print(dumps({"replayed": replayed}) if json else f"replayed {replayed:,}")


async def resend(event_id: EventIds = (), /, *, to: str, inbox: InboxPlace = _DEFAULT, json: Json = False) -> int:
    """Send stored deliveries to a receiver, signed anew, in the order in which they came, and print how it answers.

    The secret comes from PINWHEEL_FORWARD_SECRET, or else from PINWHEEL_API_SECRET. Who did it is recorded in the
    inbox, as a reading. The exit code is 0 if each is answered 200, else 4. To run handlers again, see `replay`.

    Parameters
    ----------
    to:
        Where to: https, or http on this machine, because a body is payroll data.
    """
    from pinwheel_async.cli._forward import Target, check_url, forward_secret  # noqa: PLC0415  # as below

    secret = forward_secret() or find_secret(None)
    check_url(to)
    if not event_id:
        raise ConfigurationError("say which deliveries to send: ids of events, as `inbox show` prints them")
    is_taken = True
    async with open_inbox(inbox) as opened, Target(to, secret=secret) as target:
        with_body = DeliveryFilter(event_ids=event_id, with_body=True)
        found = {entry.event_id: entry for entry in await opened.entries(with_body, limit=len(event_id))}
        if missing := [given for given in event_id if given not in found]:
            raise ConfigurationError(f"there is no body of {', '.join(missing)}: not known, or done and not kept")
        for entry in reversed(found.values()):
            headers = {"content-type": "application/json"}
            if entry.version is not None:
                headers["pinwheel-version"] = entry.version
            reply = await target.post(headers, await opened.read_body(entry.event_id) or b"")
            if json:
                shown = {"event": entry.event, "event_id": entry.event_id, "status": reply.status, "ms": reply.ms}
                print(dumps(shown), flush=True)
            else:
                print(f"{reply.status or 'no answer'} {entry.event} {entry.event_id}, {reply.ms} ms", flush=True)
            is_taken &= reply.status == 200
    return 0 if is_taken else 4


async def body(event_id: str, /, *, inbox: InboxPlace = _DEFAULT) -> None:
    """Print the stored body of one delivery, as it came: payroll data. Who read it is recorded in the inbox.

    Parameters
    ----------
    event_id:
        Id of the event.
    """
    async with open_inbox(inbox) as opened:
        content = await opened.read_body(event_id)
        reading = None if content is None else (await opened.readings(limit=1))[0]
    if content is None or reading is None:
        raise ConfigurationError("there is no body of this event: it is not known, or was done and its body not kept")
    print(f"recorded: read by {reading.user}", file=sys.stderr)
    sys.stdout.buffer.write(content)
    if sys.stdout.isatty():
        print()


async def readings(
    *,
    inbox: InboxPlace = _DEFAULT,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    json: Json = False,
) -> None:
    """List who has read stored bodies, the latest first.

    Parameters
    ----------
    limit:
        Most readings to list.
    """
    async with open_inbox(inbox, read_only=True) as opened:
        found = await opened.readings(limit=limit)
    if json:
        print(dumps([reading.to_dict() for reading in found]))
        return
    for reading in found:
        print(f"{datetime.fromtimestamp(reading.at, UTC):%Y-%m-%dT%H:%M:%SZ}  {reading.user}  {reading.event_id}")


async def inspect(
    *, inbox: InboxPlace = _DEFAULT, port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 0
) -> None:
    """Serve the inspector of an inbox to this machine, until SIGTERM or SIGINT; the URL that is printed logs in once.

    Parameters
    ----------
    port:
        Where the pages are; 0 for a free port.
    """
    from pinwheel_async.cli._server import inspecting  # noqa: PLC0415  # other commands need no server
    from pinwheel_async.cli._signals import on_sigterm  # noqa: PLC0415  # as above

    logging.basicConfig(format="pinwheel-async: %(message)s", stream=sys.stderr)
    logging.getLogger("pinwheel_async.audit").setLevel(logging.INFO)
    stop = on_sigterm()
    async with open_inbox(inbox) as opened, inspecting(opened, Readiness(opened), port=port) as url:
        print(f"pinwheel-async: inspector, once, at {url}", file=sys.stderr, flush=True)
        await stop.wait()


async def check(*, inbox: InboxPlace = _DEFAULT, json: Json = False) -> int:
    """Check that the file is whole and its books are right, and change nothing; the exit code is 1 if they are not."""
    if inbox.file is not None:
        found = await check_inbox(inbox.file, key=inbox_key(), old_keys=inbox_old_keys())
    else:
        async with open_inbox(inbox, read_only=True) as opened:
            found = await cast("PostgresInbox", opened).check()
    if json:
        print(dumps({"ok": found.ok, **found.to_dict()}))
    else:
        for problem in found.problems:
            print(problem)
        print(f"{found.deliveries:,} deliveries, {found.bodies:,} bodies: {'all is well' if found.ok else 'see above'}")
    return 0 if found.ok else 1


async def backup(to: Path, /, *, inbox: InboxPlace = _DEFAULT, json: Json = False) -> None:
    """Copy an inbox as of one moment, also while a receiver runs; only the owner can read the copy.

    Parameters
    ----------
    to:
        Where the copy is made; there must be no such file.
    """
    file = _file(inbox, "back up", "pg_dump, or whatever backs the database up, holds the inbox as of one moment")
    size = await backup_inbox(file, to)
    print(dumps({"bytes": size}) if json else f"copied {size:,} bytes")


async def move(to: Path, /, *, inbox: InboxPlace = _DEFAULT) -> None:
    """Move an inbox that no receiver has open.

    Parameters
    ----------
    to:
        Where it goes; there must be no such file.
    """
    file = _file(inbox, "move", "pg_dump and pg_restore move it, while nothing receives or works")
    await move_inbox(file, to)
    print("moved")


async def rotate_key(*, inbox: InboxPlace = _DEFAULT, json: Json = False) -> int:
    """Encrypt everything with the key in PINWHEEL_INBOX_KEY; PINWHEEL_INBOX_OLD_KEYS holds what decrypts it until then.

    Start the receivers with both keys before, and without the old one afterwards. The exit code is 1 if something could
    not be encrypted anew, so that the old key is still needed.
    """
    async with open_inbox(inbox) as opened:
        rotation = await opened.rotate_key()
    if json:
        print(rotation.to_json())
    else:
        print(f"encrypted {rotation.encrypted:,}")
        if rotation.left:
            print(f"{rotation.left:,} are damaged, or were stored with the old key meanwhile: it is still needed")
    return 1 if rotation.left else 0


def _file(inbox: InboxPlace, verb: str, instead: str) -> Path:
    if inbox.file is None:
        raise ConfigurationError(f"there is no file to {verb}: {instead}")
    return inbox.file


def _require_choice(verb: str, meant: DeliveryFilter, *, everything: bool) -> None:
    if meant.is_empty and not everything:
        raise ConfigurationError(f"say what to {verb}: --state, --event, --account, --reason, --before, ... or --all")
    if everything and not meant.is_empty:
        raise ConfigurationError("--all goes with nothing that says which deliveries are meant")


def _moment(option: str, text: str) -> datetime:
    """Read a day, a moment or an age."""
    try:
        age = duration(text)
        if age is not None:
            return datetime.now(UTC) - age
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{option} is a day, a moment or an age, such as 2026-01-31, 2026-01-31T12:00Z, 7d, 12h or 30min"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _summary(preview: Preview) -> str:
    """Say in a line what a filter selects."""
    events = sorted(preview.events.items(), key=lambda event: -event[1])
    named = [f"{name or 'without a name'} {count:,}" for name, count in events[:_MANY_EVENTS]]
    others = sum(count for _, count in events[_MANY_EVENTS:])
    states = [f"{count:,} {state}" for state, count in preview.states.items()]
    details = [", ".join(states), ", ".join([*named, f"others {others:,}"] if others else named)]
    return f"{preview.deliveries:,} deliveries of {preview.ordering_keys:,} accounts or other owners" + (
        f" ({'; '.join(details)})" if preview.deliveries else ""
    )


def _announce(verb: str, preview: Preview) -> None:
    """Say on stderr what is going to be done: stdout holds the result only."""
    print(f"{verb} {_summary(preview)}", file=sys.stderr)


def _print_preview(verb: str, preview: Preview, *, json: bool) -> None:
    print(preview.to_json() if json else f"{verb} {_summary(preview)}")


def _row(entry: Entry) -> dict[str, object]:
    return {
        "event id": entry.event_id,
        "event": entry.event,
        "ordering key": entry.ordering_key,
        "state": entry.state,
        "attempts": entry.attempts,
        "received": datetime.fromtimestamp(entry.received_at, UTC),
        "reason": entry.reason,
    }
