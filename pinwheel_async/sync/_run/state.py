"""State saved between runs: failures, and the start of an unfinished full refetch."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pinwheel_async.errors import ApiError, CursorError, DecodeError, PinwheelError
from pinwheel_async.sync._sink import FailedProduct, Kind, Store

_FAILURES_AT_ONCE = 200
"""Failures that are saved together: a run that is killed loses the word about no more of them, and all are tried again
by the next run anyway."""

REFETCH = "sync:refetch"
"""Key of the moment at which an unfinished full refetch began."""

_REFETCH_LASTS = timedelta(hours=24)
"""How long a full refetch can be gone on with; `sync` promises it. Older readings would count as just refetched."""


async def load_refetch(store: Store, now: datetime) -> datetime | None:
    """Return when the run began that was to read everything again and did not end; null if it is not to go on."""
    return refetch_of(await store.load(REFETCH), now)


def refetch_of(text: bytes | None, now: datetime) -> datetime | None:
    """Return the same from the value that is stored."""
    if text is None:
        return None
    began = datetime.fromisoformat(text.decode())
    # A start in the future was saved under a clock that was wrong: nothing that is stored would count as read since.
    return began if timedelta(0) <= now - began <= _REFETCH_LASTS else None


async def save_refetch(store: Store, began: datetime | None) -> None:
    """Keep when a run began that reads everything again; None when it has ended."""
    await store.save(REFETCH, None if began is None else began.isoformat().encode())


class FailureLog:
    """Failures of a run, saved beside the data in portions, and those of earlier runs."""

    def __init__(self, store: Store | None, now: Callable[[], datetime]) -> None:
        """Begin with nothing; without a store nothing is saved."""
        self._store = store
        self._now = now
        self.units: set[tuple[str, Kind]] = set()
        """What failed in earlier runs, and was not read since."""
        self._added: dict[tuple[str, Kind], FailedProduct] = {}
        self._removed: set[tuple[str, Kind]] = set()

    @property
    def added(self) -> Sequence[FailedProduct]:
        """What failed and is not saved yet."""
        return [*self._added.values()]

    async def load(self) -> None:
        """Look up what failed in earlier runs.

        Raises:
            SinkError: The store cannot be read.
        """
        if self._store is not None:
            self.units = {(failure.account_id, failure.product) for failure in await self._store.failures()}

    def add(self, account_id: str, kind: Kind, error: PinwheelError) -> None:
        """Note a failure."""
        now, place = self._now(), _place(error)
        failure = FailedProduct(
            account_id=account_id, product=kind, error=type(error).__name__, place=place, first_at=now, last_at=now
        )
        self._added[account_id, kind] = failure
        self._removed.discard((account_id, kind))

    def remove(self, account_id: str, kind: Kind) -> None:
        """Note that something is well, if it failed before."""
        if (account_id, kind) in self.units:
            self._removed.add((account_id, kind))

    async def save(self, *, everything: bool = False) -> None:
        """Save what is not saved yet, if it is enough for a portion, or everything.

        Raises:
            SinkError: The store cannot save.
        """
        if self._store is None:
            return
        if self._added and (everything or len(self._added) >= _FAILURES_AT_ONCE):
            added, self._added = [*self._added.values()], {}
            await self._store.add_failures(added)
        if self._removed and (everything or len(self._removed) >= _FAILURES_AT_ONCE):
            removed, self._removed = [*self._removed], set()
            await self._store.remove_failures(removed)


def _place(error: PinwheelError) -> str | None:
    match error:
        case DecodeError(paths=[path, *_]):
            return path
        case ApiError(endpoint=endpoint) | CursorError(endpoint=endpoint):
            return endpoint
        case _:
            return None
