"""Queries of a fleet: its runs and their partitions, each with a lease and the token of whoever holds it.

Each runs within a transaction of the caller's. Time is the database's, since the machines of a fleet have a clock each.
A change of what is leased names the token: whoever was paused for longer than the lease, and has been replaced, changes
nothing any more.

What changes several rows takes the lock of the run before, and locks the row of the run before those of partitions, so
that no two wait for each other. With that lock comes a share in the lock of the copy: an erasure comes before or after.
"""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, cast

from attrs import define, frozen
from sqlalchemy import Connection, Interval, Row, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.sync._run.state import REFETCH, refetch_of
from pinwheel_async.sync._sink import FailedProduct
from pinwheel_async.sync._sql import queries
from pinwheel_async.sync._sql.database import lock
from pinwheel_async.sync._sql.tables import PARTITIONS, RUNS, tables_of
from pinwheel_async.sync._sql.types import Moment

State: TypeAlias = Literal["listing", "listed", "stopping", "done", "stopped", "abandoned"]
"""Where a run is. `listing`: there may be more partitions. `listed`: all of them are there. `stopping`: it was told to
stop, and somebody works on it. The others are over; `abandoned`: nobody has worked on it for a day."""

Units: TypeAlias = Mapping[str, Mapping[str, str | None]]
"""For each account what is due, and when the account says that it changed, in ISO 8601."""

Failures: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""For each account the documents of its failures."""

_ABANDONED_AFTER = timedelta(hours=24)
"""How long nobody works on a run before it is over: as long as a list, or a refetch, can be gone on with."""

_KEPT_RUNS = 30
"""Runs that are remembered: a month of nights."""

_LIST = "list "
"""Begins the names of counts of the list, in the row of a run."""

_LIST_KEPT = (f"{_LIST}pages", f"{_LIST}lists_held_back")
"""Counts of a list that begins again which stay."""

_NOW = func.clock_timestamp(type_=Moment())


@frozen(kw_only=True)
class RunRow:
    """A run as it is now."""

    number: int
    state: State
    plan: Mapping[str, Any]
    began_at: datetime
    ended_at: datetime | None
    forget_before: datetime | None
    cursor: str | None
    pages: int
    is_whole: bool
    partitions: int
    counts: Counter[str]
    """Of the list, of the partitions that are done, and of the others so far."""
    waiting: int
    """Partitions that are not done."""
    in_flight: int
    leases: int
    """Leases that last."""
    now: datetime
    """The time of the database."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None

    @property
    def can_end(self) -> bool:
        """Whether nothing is left to be done."""
        if self.is_over:
            return False
        return (self.state == "listed" and not self.waiting) or (self.state == "stopping" and not self.leases)


@frozen(kw_only=True)
class Claimed:
    """A partition that was claimed."""

    number: int
    token: int
    units: Units


@define(kw_only=True)
class Part:
    """What the list adds to a run at once: some pages, as a partition."""

    units: Units
    failures: Failures
    counts: Counter[str]
    cursor: str | None
    pages: int
    is_whole: bool


def begin(connection: Connection, plan: Mapping[str, Any]) -> RunRow:
    """Begin a run, or join the one that is not over.

    Raises:
        ConfigurationError: The one that is not over has another plan.
    """
    lock(connection, {("fleet", "")})
    runs, partitions = tables_of(connection)[RUNS], tables_of(connection)[PARTITIONS]
    current = latest(connection)
    if current is not None and not current.is_over:
        end(connection, current.number)
        current = look(connection, current.number)
    if current is not None and not current.is_over:
        if current.plan != plan and current.state != "stopping":
            raise ConfigurationError(
                "a run with another plan is not over: wait for its end, or end it (pinwheel-async fleet stop)"
            )
        return current
    number = 1 if current is None else current.number + 1
    # Those of the run before stay: of its processes some may not have reported its failures yet.
    connection.execute(delete(partitions).where(partitions.c.run < number - 1))
    connection.execute(delete(runs).where(runs.c.number <= number - _KEPT_RUNS))
    forget_before = None
    if not plan["changed_only"]:
        # A stopped refetch is gone on with, as by a run that is not shared.
        now = connection.scalar(select(_NOW))
        saved = queries.load(connection, REFETCH)
        forget_before = refetch_of(saved, cast("datetime", now)) or now
        queries.save(connection, REFETCH, cast("datetime", forget_before).isoformat().encode())
    connection.execute(
        insert(runs).values(
            number=number,
            state="listing",
            plan=plan,
            began_at=_NOW,
            forget_before=forget_before,
            pages=0,
            is_whole=True,
            partitions=0,
            counts={},
        )
    )
    found = look(connection, number)
    assert found is not None  # noqa: S101  # it was made in this transaction
    return found


def latest(connection: Connection) -> RunRow | None:
    """Return the latest run."""
    runs = tables_of(connection)[RUNS]
    number = connection.scalar(select(func.max(runs.c.number)))
    return None if number is None else look(connection, number)


def look(connection: Connection, number: int) -> RunRow | None:
    """Return a run as it is now; None if there is none of this number."""
    runs, partitions = tables_of(connection)[RUNS].c, tables_of(connection)[PARTITIONS].c
    to_read = and_(partitions.run == number, partitions.is_done.is_(False))
    waiting = select(func.count()).where(to_read).scalar_subquery()
    # In one statement: what is done between two of them would be counted twice, or not at all.
    so_far = func.jsonb_agg(func.jsonb_build_array(partitions.counts, partitions.in_flight), type_=JSONB())
    held = select(so_far).where(to_read, partitions.lease_until > _NOW).scalar_subquery()
    query = select(tables_of(connection)[RUNS], waiting.label("waiting"), held.label("held"), _NOW.label("now"))
    row = connection.execute(query.where(runs.number == number)).one_or_none()
    if row is None:
        return None
    counts = Counter[str]()
    for name, counted in row.counts.items():
        counts[name.removeprefix(_LIST)] += counted
    for counted, _ in row.held or ():
        counts.update(counted)
    lists = row.lease_until is not None and row.lease_until > row.now
    return RunRow(
        number=row.number,
        state=row.state,
        plan=row.plan,
        began_at=row.began_at,
        ended_at=row.ended_at,
        forget_before=row.forget_before,
        cursor=row.cursor,
        pages=row.pages,
        is_whole=row.is_whole,
        partitions=row.partitions,
        counts=counts,
        waiting=row.waiting,
        in_flight=sum(in_flight for _, in_flight in row.held or ()),
        leases=len(row.held or ()) + lists,
        now=row.now,
    )


def failures(connection: Connection, number: int) -> list[Mapping[str, Any]]:
    """Return the documents of the failures of a run, in the order of its list."""
    partitions = tables_of(connection)[PARTITIONS].c
    query = select(partitions.failures).where(partitions.run == number, partitions.failures.is_not(None))
    found = connection.scalars(query.order_by(partitions.number))
    return [document for by_account in found for documents in by_account.values() for document in documents]


def claim_list(connection: Connection, number: int, lease_s: float) -> tuple[RunRow, int] | None:
    """Claim the list of accounts, unless somebody has it; return the run and the token."""
    runs = tables_of(connection)[RUNS]
    token = secrets.randbits(62)
    mine = select(runs.c.number).where(runs.c.number == number, runs.c.state == "listing", _is_free(runs))
    claim = update(runs).where(runs.c.number.in_(mine.with_for_update(skip_locked=True)))
    found = connection.execute(claim.values(token=token, lease_until=_until(lease_s))).rowcount
    run = look(connection, number) if found else None
    return None if run is None else (run, token)


def listed_ids(connection: Connection, number: int, after: int) -> tuple[int, list[str]] | None:
    """Return the next partition behind some number, and the accounts in it; None behind the last one."""
    partitions = tables_of(connection)[PARTITIONS].c
    query = select(partitions.number, partitions.units).where(partitions.run == number, partitions.number > after)
    row = connection.execute(query.order_by(partitions.number).limit(1)).one_or_none()
    return None if row is None else (row.number, [*row.units])


def claim_partition(connection: Connection, run: int, lease_s: float) -> Claimed | None:
    """Claim a partition that nobody reads; None if there is none, or the run is being stopped."""
    runs, partitions = tables_of(connection)[RUNS], tables_of(connection)[PARTITIONS]
    token = secrets.randbits(62)
    goes_on = select(runs.c.number).where(runs.c.number == run, runs.c.state.in_(["listing", "listed"])).exists()
    free = (
        select(partitions.c.number)
        .where(partitions.c.run == run, partitions.c.is_done.is_(False), _is_free(partitions), goes_on)
        .order_by(partitions.c.number)
        .limit(1)
        .with_for_update(skip_locked=True, of=partitions)
    )
    number = connection.scalar(free)
    if number is None:
        return None
    claim = update(partitions).where(partitions.c.run == run, partitions.c.number == number)
    # What a dead process counted is counted again by whoever takes its place.
    values: dict[str, Any] = {"token": token, "lease_until": _until(lease_s), "counts": {}, "in_flight": 0}
    units: Units = connection.execute(claim.values(values).returning(partitions.c.units)).scalar_one()
    return Claimed(number=number, token=token, units=units)


def renew_list(connection: Connection, number: int, token: int, lease_s: float) -> State | None:
    """Renew the lease of the list; return the state of the run, None if somebody else has it, or the run is over."""
    runs = tables_of(connection)[RUNS]
    mine = update(runs).where(runs.c.number == number, runs.c.token == token)  # there is none of a run that is over
    return connection.execute(mine.values(lease_until=_until(lease_s)).returning(runs.c.state)).scalar_one_or_none()


def renew(
    connection: Connection, run: int, claimed: Claimed, lease_s: float, counts: Mapping[str, int], in_flight: int
) -> State | None:
    """Renew the lease of a partition and note how far it is; return the state of the run, None if it is lost."""
    partitions = tables_of(connection)[PARTITIONS]
    values = {"lease_until": _until(lease_s), "counts": counts, "in_flight": in_flight}
    if not connection.execute(update(partitions).where(*_mine(partitions, run, claimed)).values(values)).rowcount:
        return None
    runs = tables_of(connection)[RUNS].c
    return connection.execute(select(runs.state).where(runs.number == run)).scalar_one_or_none()


def add_partition(connection: Connection, run: int, token: int, number: int, part: Part) -> bool:
    """Add pages of the list as the partition of a number; return whether the list is still held.

    To add one again changes nothing: the answer to a commit may have been lost.
    """
    lock(connection, {("fleet", str(run))})
    runs, partitions = tables_of(connection)[RUNS], tables_of(connection)[PARTITIONS]
    row = _locked(connection, run)
    if row is None or row.token != token or row.state != "listing":
        return False
    if row.partitions >= number:
        return True
    erased = queries.erased_among(connection, [*part.units, *part.failures])
    units = {account_id: due for account_id, due in part.units.items() if account_id not in erased}
    counts = Counter[str](row.counts)
    counts.update({f"{_LIST}{name}": count for name, count in part.counts.items()})
    counts["units"] += sum(map(len, units.values()))
    connection.execute(
        insert(partitions).values(
            run=run,
            number=number,
            units=units,
            is_done=not any(units.values()),
            counts={},
            in_flight=0,
            failures={key: value for key, value in part.failures.items() if key not in erased} or None,
        )
    )
    connection.execute(
        update(runs)
        .where(runs.c.number == run)
        .values(cursor=part.cursor, pages=part.pages, is_whole=part.is_whole, partitions=number, counts=counts)
    )
    return True


def restart_list(connection: Connection, run: int, token: int) -> bool | None:
    """Let the list begin again, when all that it gave is read; return whether it does, None if it is not held.

    What was read by then is not due any more.
    """
    lock(connection, {("fleet", str(run))})
    runs, partitions = tables_of(connection)[RUNS], tables_of(connection)[PARTITIONS]
    row = _locked(connection, run)
    if row is None or row.token != token or row.state != "listing":
        return None
    of_run = partitions.c.run == run
    if connection.scalar(select(func.count()).where(of_run, partitions.c.is_done.is_(False))):
        return False
    # What is counted again; which accounts were named is asked again, too.
    counts = {name: count for name, count in row.counts.items() if not name.startswith(_LIST) or name in _LIST_KEPT}
    for number, failed in connection.execute(select(partitions.c.number, partitions.c.failures).where(of_run)).all():
        listed: Failures = failed or {}
        read = {account_id: [*filter(_is_of_product, found)] for account_id, found in listed.items()}
        left = {account_id: found for account_id, found in read.items() if found}
        mine = update(partitions).where(of_run, partitions.c.number == number)
        connection.execute(mine.values(units={}, failures=left or None))
    values = {"cursor": None, "pages": 0, "is_whole": True, "counts": counts}
    connection.execute(update(runs).where(runs.c.number == run).values(values))
    return True


def _is_of_product(document: Mapping[str, Any]) -> bool:
    """Whether a failure is of a product; those of accounts were found by the list."""
    return bool(document["product"] != "accounts")


def end_list(connection: Connection, run: int, token: int) -> bool:
    """Note that the list is at its end, within the transaction that marks accounts that are gone.

    Returns:
        Whether it was held, and not ended before.
    """
    lock(connection, {("accounts", ""), ("fleet", str(run))})
    runs = tables_of(connection)[RUNS]
    row = _locked(connection, run)
    if row is None or row.token != token or row.state != "listing":
        return False
    values = {"state": "listed", "token": None, "lease_until": _NOW}
    connection.execute(update(runs).where(runs.c.number == run).values(values))
    return True


def add_counts(connection: Connection, run: int, counts: Mapping[str, int]) -> None:
    """Add to the counts of a run that is locked."""
    runs = tables_of(connection)[RUNS]
    row = _locked(connection, run)
    sums = Counter[str]({} if row is None else row.counts)
    sums.update(counts)
    connection.execute(update(runs).where(runs.c.number == run).values(counts=sums))


def finish(
    connection: Connection,
    run: int,
    claimed: Claimed,
    *,
    counts: Mapping[str, int],
    documents: Failures,
    failed: Sequence[FailedProduct],
) -> bool:
    """End a partition: its counts and failures count if it is still held, and only then."""
    lock(connection, {("fleet", str(run))})
    partitions = tables_of(connection)[PARTITIONS]
    if _locked(connection, run) is None:
        return False
    erased = queries.erased_among(connection, [*documents])
    mine = _mine(partitions, run, claimed)
    row = connection.execute(select(partitions.c.failures).where(*mine).with_for_update()).one_or_none()
    if row is None:
        return False
    kept: dict[str, Sequence[Any]] = {**(row.failures or {})}  # of the accounts themselves, which the list found
    for account_id, found in documents.items():
        if account_id not in erased:
            kept[account_id] = [*kept.get(account_id, ()), *found]
    values = {"is_done": True, "token": None, "counts": {}, "in_flight": 0, "failures": kept or None}
    connection.execute(update(partitions).where(*mine).values(values))
    add_counts(connection, run, counts)
    if failed:
        queries.add_failures(connection, failed)
    return True


def release(connection: Connection, run: int, claimed: Claimed) -> None:
    """Let another process claim a partition at once."""
    partitions = tables_of(connection)[PARTITIONS]
    values: dict[str, Any] = {"token": None, "lease_until": _NOW, "counts": {}, "in_flight": 0}
    connection.execute(update(partitions).where(*_mine(partitions, run, claimed)).values(values))


def release_list(connection: Connection, run: int, token: int) -> None:
    """Let another process claim the list at once."""
    runs = tables_of(connection)[RUNS]
    mine = update(runs).where(runs.c.number == run, runs.c.token == token)
    connection.execute(mine.values(token=None, lease_until=_NOW))


def stop(connection: Connection, run: int) -> bool:
    """Tell a run to stop; return whether it was not over."""
    runs = tables_of(connection)[RUNS]
    going = update(runs).where(runs.c.number == run, runs.c.ended_at.is_(None))
    return connection.execute(going.values(state="stopping")).rowcount > 0


def end(connection: Connection, number: int) -> bool:
    """End a run if nothing is left to be done, or nobody has worked on it for long; return whether it is over."""
    lock(connection, {("fleet", str(number))})
    runs, partitions = tables_of(connection)[RUNS], tables_of(connection)[PARTITIONS]
    row = _locked(connection, number)
    if row is None or row.ended_at is not None:
        return True
    of_run = partitions.c.run == number
    latest_lease = connection.scalar(select(func.max(partitions.c.lease_until)).where(of_run))
    run = look(connection, number)
    assert run is not None  # noqa: S101  # its row is locked
    state: State
    if run.can_end:
        state = "done" if run.state == "listed" else "stopped"
    else:
        alive_at = max([moment for moment in (row.began_at, row.lease_until, latest_lease) if moment is not None])
        if run.now - alive_at <= _ABANDONED_AFTER:
            return False
        state = "abandoned"
    connection.execute(
        update(runs).where(runs.c.number == number).values(state=state, ended_at=_NOW, cursor=None, token=None)
    )
    # What is left is about failures, of which there may be none.
    connection.execute(delete(partitions).where(of_run, partitions.c.failures.is_(None)))
    connection.execute(update(partitions).where(of_run).values(units={}, is_done=True))
    if state == "done" and row.forget_before is not None:
        queries.save(connection, REFETCH, None)
    return True


def _locked(connection: Connection, number: int) -> Row[Any] | None:
    table = tables_of(connection)[RUNS]
    return connection.execute(select(table).where(table.c.number == number).with_for_update()).one_or_none()


def _mine(partitions: Any, run: int, claimed: Claimed) -> tuple[Any, ...]:
    own = partitions.c
    return (own.run == run, own.number == claimed.number, own.token == claimed.token, own.is_done.is_(False))


def _is_free(table: Any) -> Any:
    return or_(table.c.lease_until.is_(None), table.c.lease_until <= _NOW)


def _until(lease_s: float) -> Any:
    return _NOW + literal(timedelta(seconds=lease_s), Interval())
