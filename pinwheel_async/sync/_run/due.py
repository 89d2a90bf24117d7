"""Refresh rule: which products of an account are due, because they changed or may have changed without a word."""

from datetime import date, datetime, timedelta
from zlib import crc32

from attrs import frozen

from pinwheel_async.sync._run.reading import Unit
from pinwheel_async.sync._sink import Checkpoint, is_ahead

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(days=1)
"""How long to wait before an account is asked a third time for what it says it has and answers 404 for, and at most.

The second time is the next run: most of these 404s come from a replica that lags by seconds. Each pause is four times
the one before, so that a contradiction that lasts costs one request a day after a week.
"""


@frozen(kw_only=True)
class RefreshRule:
    """When a product that was read before is read again."""

    recheck_before: datetime
    """What may have moved unseen is read again if its last reading began before this moment."""
    spread: timedelta = timedelta(0)
    """By up to how much earlier or later that is the case, another time for each reading: or what was read in one night
    would be read again in one night for ever."""
    forget_before: datetime | None = None
    """Readings that began before this moment do not count; null if all count."""

    def valid(self, checkpoint: Checkpoint | None, now: datetime) -> Checkpoint | None:
        """Return the checkpoint, if its reading counts."""
        if checkpoint is None or is_ahead(checkpoint.begun_at, now):
            return None
        return None if self.forget_before is not None and checkpoint.begun_at < self.forget_before else checkpoint

    def is_due(
        self,
        unit: Unit,
        checkpoint: Checkpoint | None,
        *,
        data_updated_at: datetime | None,
        from_day: date | None,
        now: datetime,
    ) -> bool:
        """Whether a product has to be read, as far as its valid checkpoint says.

        Args:
            unit: The product of an account.
            checkpoint: That of its last reading; None if there is none.
            data_updated_at: When its data last changed, as the account says.
            from_day: Only what is after this day is wanted.
            now: What time it is.
        """
        if (
            checkpoint is None
            or checkpoint.reached not in {"complete", "missing"}
            or _grew(checkpoint.from_day, from_day)
            or (data_updated_at is not None and data_updated_at != checkpoint.data_updated_at)
        ):
            return True
        if checkpoint.misses:
            return now - checkpoint.begun_at >= _pause(checkpoint.misses)
        if data_updated_at is not None or not _may_change_unseen(unit, checkpoint):
            return False
        return checkpoint.begun_at < self.recheck_before + self.spread * _jitter(unit.account_id, checkpoint)


def _pause(misses: int) -> timedelta:
    """Return how long to wait after some contradictions."""
    if misses == 1:
        return timedelta(0)
    return min(_FIRST_PAUSE * int(4 ** min(misses - 2, 10)), _LONGEST_PAUSE)


def _jitter(account_id: str, checkpoint: Checkpoint) -> float:
    """Return a number from -1 to 1 that stays the same for a reading, in whichever process."""
    return crc32(f"{account_id} {checkpoint.begun_at.timestamp()}".encode()) / 2**31 - 1


def _grew(before: date | None, wanted: date | None) -> bool:
    """Whether objects from before the days of the copy are wanted."""
    return before is not None and (wanted is None or wanted < before)


def _may_change_unseen(unit: Unit, checkpoint: Checkpoint) -> bool:
    """Whether data may change without a word of the API.

    There is never a moment for tax forms. For other products none comes before there is data, so it is what was there
    before that may have changed.
    """
    return unit.product == "tax_forms" or (checkpoint.reached == "complete" and checkpoint.items > 0)
