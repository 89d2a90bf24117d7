"""Which products of an account are read again: those that moved, and those of which nobody can say."""

from datetime import date, datetime

from attrs import frozen

from pinwheel_async.sync._reading import Reading
from pinwheel_async.sync._sink import Mark


@frozen(kw_only=True)
class Rule:
    """When a product that was read before is read again."""

    recheck_before: datetime
    """What may have moved unseen is read again if its last reading began before this moment."""
    forget_before: datetime | None = None
    """Readings that began before this moment do not count; null if all count."""

    def counting(self, mark: Mark | None) -> Mark | None:
        """Return the mark, if it counts."""
        old = mark is not None and self.forget_before is not None and mark.begun_at < self.forget_before
        return None if old else mark

    def is_due(self, reading: Reading) -> bool:
        """Whether a product has to be read, as far as its mark says."""
        mark = reading.mark
        if mark is None or mark.reached not in {"complete", "missing"} or _grew(mark.from_day, reading.from_day):
            return True
        if reading.data_updated_at is not None:
            return mark.data_updated_at != reading.data_updated_at
        return _moves_unseen(reading, mark) and mark.begun_at < self.recheck_before


def _grew(before: date | None, wanted: date | None) -> bool:
    """Whether objects from before the days of the copy are wanted."""
    return before is not None and (wanted is None or wanted < before)


def _moves_unseen(reading: Reading, mark: Mark) -> bool:
    """Whether data may change without a word of the API.

    There is never a moment for tax forms. For other products none comes before there is data, so it is what was there
    before that may have changed.
    """
    return reading.unit.product == "tax_forms" or (mark.reached == "complete" and mark.items > 0)
