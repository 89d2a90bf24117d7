"""Command `pinwheel-async doctor`: checks everything that an installation depends on, and says what to do."""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from json import dumps
from pathlib import Path
from threading import Thread
from typing import Literal, TypeAlias, TypeVar

from attrs import frozen

from pinwheel_async._clock import time_limit
from pinwheel_async._core.converter import Serializable
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._http.observing import with_reply
from pinwheel_async._response import Response
from pinwheel_async.cli._options import Connection, InboxPlace, Json, TableNames, database_url, load_router, open_inbox
from pinwheel_async.cli._render import age_of
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import (
    ApiError,
    ConfigurationError,
    ForbiddenError,
    PinwheelError,
    TransportError,
    UnauthorizedError,
)
from pinwheel_async.events import EVENTS
from pinwheel_async.models.webhook import Webhook
from pinwheel_async.settings import BASE_URLS, SECRET_VARIABLE, find_secret
from pinwheel_async.webhooks import Router
from pinwheel_async.webhooks._subscriptions.plan import QUOTA, is_paused
from pinwheel_async.webhooks._subscriptions.subscriptions import SUBSCRIBABLE

T = TypeVar("T")

LIMIT_S = 10.0
"""Seconds for one check, for which somebody waits; an attempt over a slow network and a second one fit in."""

DATABASE_LIMIT_S = 60.0
"""Seconds for the check of a copy, which counts its rows."""

MAX_SKEW_S = 30.0
"""Seconds by which the clock may be wrong. A `Date` header and the way of an answer are good to a second or two; Link
tokens live for an hour, and a receiver may refuse what was signed minutes ago."""

MAX_WAIT_S = 900.0
"""Seconds that a delivery may wait, as the manual says what to alarm on."""

MIN_FREE_BYTES = 1 << 30
"""Bytes that must be free: 100,000 deliveries of 7 kB, as many as an inbox lets wait, take 0.7 GB."""

STALE = timedelta(days=2)
"""Age of the newest reading beyond which a nightly sync must have failed to run."""

State: TypeAlias = Literal["ok", "warning", "problem", "skipped"]

_DEFAULT = InboxPlace()


@frozen(kw_only=True)
class Finding(Serializable):
    """What a check has found; it holds no secret, and no value of a payload."""

    check: str
    state: State
    text: str
    cure: str | None = None
    """What to do about it; null if nothing is to be done."""


async def doctor(
    *,
    handlers: str | None = None,
    inbox: InboxPlace = _DEFAULT,
    database: str | None = None,
    names: TableNames | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Check secret, environment, version, clock, webhooks, inbox, database and disk; the exit code is 1 for a problem.

    Nothing is changed. Each finding says what to do about it. What is not named, and not where it usually is, is
    skipped.

    Parameters
    ----------
    handlers:
        Where the router with the handlers is: module:name, such as shop.hooks:router.
    database:
        Path of the SQLite file of a copy, or URL such as postgresql://user@host/name.
    """
    tables = names or TableNames()
    checks: list[Awaitable[list[Finding]]] = [
        _limited("environment", _api(connection or Connection())),
        _limited("webhooks", _webhooks(connection or Connection(), handlers)),
        _limited("inbox", _inbox(inbox)),
        _limited("database", _database(database, tables), DATABASE_LIMIT_S),
        _limited("disk", _disk(inbox, database)),
    ]
    findings = [finding for found in await asyncio.gather(*checks) for finding in found]
    is_well = all(finding.state != "problem" for finding in findings)
    if json:
        print(dumps({"ok": is_well, "findings": [finding.to_dict() for finding in findings]}))
    else:
        _print(findings)
    return 0 if is_well else 1


def _print(findings: Collection[Finding]) -> None:
    for finding in findings:
        if sys.stdout.isatty():
            print(f"{finding.state:8} {finding.check:12} {finding.text}")
            if finding.cure is not None:
                print(f"{'':21} -> {finding.cure}")
        else:
            print("\t".join([finding.state, finding.check, finding.text, finding.cure or ""]))


async def _limited(check: str, findings: AsyncIterator[Finding], limit_s: float = LIMIT_S) -> list[Finding]:
    """Return what a check finds; that it fails or does not end is a finding, too."""
    found: list[Finding] = []
    try:
        async with time_limit(limit_s):
            async for finding in findings:
                found.append(finding)  # noqa: PERF401  # what was found before it failed is kept
    except TimeoutError:
        cure = "look whether its network, its disk or its server hangs"
        found.append(Finding(check=check, state="problem", text=f"did not end within {limit_s:g} s", cure=cure))
    except ConfigurationError as error:
        found.append(Finding(check=check, state="problem", text=str(error), cure="correct the option or the variable"))
    except PinwheelError as error:
        found.append(Finding(check=check, state="problem", text=str(error), cure=_CURES[check]))
    return found


_CURES = {
    "environment": "look at the network, HTTPS_PROXY and SSL_CERT_FILE",
    "webhooks": "look whether the key may read webhooks, in the dashboard of Pinwheel",
    "inbox": "look whether it is there and may be read; a receiver makes it, and brings it up to date",
    "database": "look whether it runs and lets this user in; pinwheel-async sync makes a copy, and updates it",
    "disk": "look at the folders of inbox and database",
}
"""What to do about an error that no check expects, by check."""


async def _api(connection: Connection) -> AsyncIterator[Finding]:
    try:
        find_secret(None)
    except ConfigurationError as error:
        cure = f"set {SECRET_VARIABLE} to the secret of an API key, from the dashboard of Pinwheel"
        yield Finding(check="secret", state="problem", text=str(error), cure=cure)
        for check in ("environment", "version", "clock"):
            yield Finding(check=check, state="skipped", text="needs the secret")
        return
    yield Finding(check="secret", state="ok", text=f"{SECRET_VARIABLE} is set")
    async with _open(connection) as pinwheel:
        async for finding in _environment(pinwheel):
            yield finding


@asynccontextmanager
async def _open(connection: Connection) -> AsyncGenerator[Pinwheel]:
    """Open a client that is less patient than the check it is for."""
    async with connection.open() as pinwheel:
        yield pinwheel.with_options(timeout_s=LIMIT_S * 0.8, retry=RetryPolicy(attempts=2))


async def _environment(pinwheel: Pinwheel) -> AsyncIterator[Finding]:
    """Make one call, and look whether the secret, the version and the clock are right."""
    base_url = pinwheel.settings.base_url
    name = next((name for name, url in BASE_URLS.items() if url == base_url), "another server")
    place = f"{name} at {base_url.partition('://')[2]}"
    began = datetime.now(UTC)
    response: Response | None = None
    try:
        answer = (await with_reply(pinwheel.accounts.list(limit=1))).response
    except UnauthorizedError as error:
        response = error.response
        cure = "set PINWHEEL_ENVIRONMENT to where the key belongs (sandbox, development, production), or copy it again"
        yield Finding(check="environment", state="problem", text=f"{place} does not accept the secret", cure=cure)
    except ForbiddenError as error:
        response = error.response
        cure = "give the key the right to read, in the dashboard of Pinwheel"
        yield Finding(check="environment", state="problem", text=f"{place}: {error}", cure=cure)
    except PinwheelError as error:
        response = error.response if isinstance(error, ApiError) else None
        cure = "look at the network, HTTPS_PROXY and SSL_CERT_FILE, and at the status page of Pinwheel"
        yield Finding(check="environment", state="problem", text=f"{place}: {error}", cure=cure)
    else:
        took_ms = (datetime.now(UTC) - began) / timedelta(milliseconds=1)
        text = f"{place} accepts the secret, and answers within {took_ms:.0f} ms"
        yield Finding(check="environment", state="ok", text=text)
        yield _version(pinwheel, answer)
        response = answer
    yield _clock(response, began, datetime.now(UTC))


def _version(pinwheel: Pinwheel, response: Response) -> Finding:
    wanted, answered = pinwheel.settings.version, response.version
    if answered not in {None, wanted}:
        text = f"asks for {wanted}, and is answered in another version"
        cure = "look whether something in between changes the header Pinwheel-Version"
        return Finding(check="version", state="warning", text=text, cure=cure)
    if pinwheel.drift:
        text = f"the answer differs from the documentation of {wanted} in {len(pinwheel.drift)} places"
        return Finding(check="version", state="warning", text=text, cure="look for a newer version of this library")
    return Finding(check="version", state="ok", text=f"{wanted} is answered as documented")


def _clock(response: Response | None, sent: datetime, received: datetime) -> Finding:
    """Compare the clock with the `Date` header, which has whole seconds."""
    try:
        date = parsedate_to_datetime(response.headers.get("date", "")) if response is not None else None
    except ValueError:
        date = None
    if date is None:
        return Finding(check="clock", state="skipped", text="the answer has no date")
    behind_s = (date - received).total_seconds()
    ahead_s = (sent - date).total_seconds() - 1
    if max(behind_s, ahead_s) <= MAX_SKEW_S:
        return Finding(check="clock", state="ok", text=f"right within {max(behind_s, ahead_s, 2.0):.0f} s")
    where = "behind" if behind_s > 0 else "ahead"
    text = f"this machine is {age_of(max(behind_s, ahead_s))} {where}"
    return Finding(check="clock", state="problem", text=text, cure="let NTP set the clock (timedatectl set-ntp true)")


async def _webhooks(connection: Connection, handlers: str | None) -> AsyncIterator[Finding]:
    handled: tuple[str, ...] | None = None
    if handlers is not None:
        handled = _handled(await _detached(lambda: load_router(handlers)))
        cure = None if handled else "register handlers in the module that is named, before it is imported"
        text = f"{len(handled)} events that can be subscribed have a handler"
        yield Finding(check="handlers", state="ok" if handled else "problem", text=text, cure=cure)
    try:
        find_secret(None)
        async with _open(connection) as pinwheel:
            found = await pinwheel.webhooks.list(limit=100).all()
    except (ConfigurationError, UnauthorizedError, TransportError):  # which the check of the environment tells
        yield Finding(check="webhooks", state="skipped", text="needs a server that accepts the secret")
        return
    for finding in _compare(found, handled, handlers):
        yield finding


def _compare(found: Sequence[Webhook], handled: tuple[str, ...] | None, handlers: str | None) -> Iterator[Finding]:
    """Compare what webhooks send with what has a handler, where that is known."""
    active = [webhook for webhook in found if not is_paused(webhook)]
    sent = {event for webhook in active for event in webhook.enabled_events}
    events = "--events all" if handlers is None else f"--router {handlers}"
    apply = f"pinwheel-async webhooks apply --url URL --name NAME {events}"
    for webhook in [webhook for webhook in found if is_paused(webhook)]:
        text = f"webhook {webhook.id} is paused"
        yield Finding(check="webhooks", state="warning", text=text, cure="activate it in the dashboard, or delete it")
    if len(found) >= QUOTA:
        cure = "delete one, so that a new one has room before it replaces an old one"
        yield Finding(
            check="webhooks", state="warning", text=f"there are {len(found)}, and no room for more", cure=cure
        )
    if not active:
        state: State = "problem" if handled else "warning"
        yield Finding(check="webhooks", state=state, text="no webhook is active: no event comes", cure=apply)
        return
    missing = [event for event in handled or () if event not in sent]
    unused = [event for event in EVENTS if event in sent and handled is not None and event not in handled]
    if missing:
        text = f"no active webhook sends {', '.join(missing)}: there are handlers"
        yield Finding(check="webhooks", state="problem", text=text, cure=apply)
    if unused:
        text = f"active webhooks send {', '.join(unused)}: there is no handler"
        yield Finding(check="webhooks", state="warning", text=text, cure=f"add handlers, or {apply}")
    if not missing and not unused:
        yield Finding(check="webhooks", state="ok", text=f"{len(active)} active, which send {len(sent)} events")


def _handled(router: Router) -> tuple[str, ...]:
    kinds = [handler.events for handler in router.handlers()]
    return tuple([name for name in SUBSCRIBABLE if any(issubclass(EVENTS[name], kind) for kind in kinds)])


async def _inbox(place: InboxPlace) -> AsyncIterator[Finding]:
    if not place.is_given and place.file is not None and not place.file.exists():
        yield Finding(check="inbox", state="skipped", text=f"there is none at {place.file}; name one with --inbox")
        return
    async with open_inbox(place, read_only=True) as opened:
        counts = await opened.counts()
    if counts.dead:
        cure = "pinwheel-async inbox show --state dead; mend the handler; pinwheel-async inbox revive"
        yield Finding(check="inbox", state="problem", text=f"{counts.dead:,} deliveries are dead", cure=cure)
    if counts.oldest_waiting_s is not None and counts.oldest_waiting_s > MAX_WAIT_S:
        text = f"{counts.waiting:,} wait, the oldest for {age_of(counts.oldest_waiting_s)}"
        cure = "look whether a receiver or worker runs; raise its concurrency, or make the handlers faster"
        yield Finding(check="inbox", state="problem", text=text, cure=cure)
    elif not counts.dead:
        text = f"{counts.done:,} done, {counts.waiting:,} waiting, none dead"
        yield Finding(check="inbox", state="ok", text=text)


async def _database(database: str | None, names: TableNames) -> AsyncIterator[Finding]:
    if database is None:
        yield Finding(check="database", state="skipped", text="name one with --database")
        return
    from pinwheel_async.sync import status  # noqa: PLC0415  # it brings SQLAlchemy

    found = await status(database_url(database), schema=names.schema, prefix=names.prefix)
    failed = sum([product.failed for product in found.products.values()])
    if failed:
        text = f"{failed:,} products of accounts failed, and were not read since"
        cure = "pinwheel-async status --database ... names them; pinwheel-async sync tries again"
        yield Finding(check="database", state="problem", text=text, cure=cure)
    left = [name for name, product in found.products.items() if not product.ok and not product.failed]
    if left:
        cure = "pinwheel-async sync goes on; pinwheel-async status --database ... says how far it is"
        text = f"not all is read of {', '.join(left)}"
        yield Finding(check="database", state="warning", text=text, cure=cure)
    newest = max([product.newest for product in found.products.values() if product.newest], default=None)
    age = None if newest is None else datetime.now(UTC) - newest
    if age is not None and age > STALE:
        text = f"the newest reading is {age_of(age.total_seconds())} old"
        yield Finding(check="database", state="warning", text=text, cure="look whether the sync still runs each night")
    elif not failed and not left:
        yield Finding(check="database", state="ok", text=f"{found.accounts:,} accounts, all is read")


async def _disk(inbox: InboxPlace, database: str | None) -> AsyncIterator[Finding]:
    database_file = None if database is None or "://" in database else Path(database)
    folders = {file.absolute().parent for file in (inbox.file, database_file) if file is not None and file.exists()}
    if not folders:
        yield Finding(check="disk", state="skipped", text="no file is kept on this machine")
    for folder in sorted(folders):
        usage = await _detached(partial(shutil.disk_usage, folder))
        text = f"{usage.free / (1 << 30):,.1f} GiB are free at {folder}"
        is_full = usage.free < MIN_FREE_BYTES
        cure = "make room: what cannot be stored is refused" if is_full else None
        yield Finding(check="disk", state="problem" if is_full else "ok", text=text, cure=cure)


def _detached(function: Callable[[], T]) -> asyncio.Future[T]:
    """Call what may hang in a thread that the end of the program does not wait for."""
    done: Future[T] = Future()

    def call() -> None:
        done.set_running_or_notify_cancel()
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001  # whoever awaits it gets it
            done.set_exception(error)

    Thread(target=call, daemon=True, name="pinwheel doctor").start()
    return asyncio.wrap_future(done)
