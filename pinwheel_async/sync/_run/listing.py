"""Reading of the list of accounts: whom it named, who is missing, and whether it is to be believed."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from pinwheel_async._core.convert import read_json
from pinwheel_async._core.page import Page
from pinwheel_async.errors import DecodeError, PinwheelError, UnconfirmedRemovalError
from pinwheel_async.sync._run.reading import Objects, contradiction
from pinwheel_async.sync._run.seen import SeenIds
from pinwheel_async.sync._sink import Checkpoint, Store, removes_too_much

_LISTED = re.compile(r"data\[(\d+)\]")
"""Place of an account on its page."""


class Listing:
    """One reading of the list of accounts.

    Args:
        began: When it began.
        pages: Pages that were listed before, if it goes on where another process ended.
        is_whole: Whether every account on these could be read and stored.
    """

    def __init__(self, began: datetime, *, pages: int = 0, is_whole: bool = True) -> None:
        self.began = began
        self.pages = pages
        self.is_whole = is_whole
        """Whether every account that it named could be read and stored."""
        self.nameless = 0
        """Accounts of which not even the id could be read."""
        self.missed: list[str] = []
        """Accounts that are stored and that it did not name."""
        self._named = SeenIds()
        self._names = 0
        self.objects = Objects()
        """What it named, by which two of them are compared."""
        self._contradiction: DecodeError | None = None

    def add(self, page: Page[Any], *, left_out: int) -> None:
        """Add a page.

        Args:
            page: The page.
            left_out: Accounts that were on it and could not be read.
        """
        self.objects.add(page.data)
        self._contradiction = self._contradiction or contradiction("accounts", page, left_out=left_out)
        if left_out:
            self.is_whole = False

    def name(self, account_ids: Collection[str]) -> None:
        """Note that it named some accounts."""
        self._named.update(account_ids)
        self._names += len(account_ids)

    @property
    def is_consistent(self) -> bool:
        """Whether no page contradicts itself."""
        return self._contradiction is None

    def agrees(self, other: "Listing | None") -> bool:
        """Whether another one named the same accounts."""
        return other is not None and self.objects.agrees(other.objects)

    async def doubt(self, store: Store | None, max_removed: float | None) -> PinwheelError | None:
        """Find who is missing, and return why the list is not to be believed at once; None if it is.

        Args:
            store: Where accounts are stored, if anywhere.
            max_removed: Largest share of them that may be missing; None for any.
        """
        stored, after = 0, ""
        while store is not None and (ids := await store.account_ids(after)):
            stored += len(ids)
            self.missed += [account_id for account_id in ids if account_id not in self._named]
            after = ids[-1]
        if max_removed is None:
            return None
        if self._contradiction is not None:
            return self._contradiction
        listed = Checkpoint(begun_at=self.began, reached="complete", items=self._names, max_removed=max_removed)
        is_doubtful = self.is_whole and removes_too_much(listed, removed=len(self.missed), stored=stored)
        return UnconfirmedRemovalError() if is_doubtful else None


def listed_id(error: DecodeError) -> str | None:
    """Return the id of an account that was listed and cannot be read; None if the id is what is odd."""
    place = _LISTED.match(error.paths[0]) if error.paths else None
    answer = read_json(error.response.body) if error.response else None
    if place is None or not isinstance(answer, dict):
        return None
    try:
        account_id: object = cast("Any", answer)["data"][int(place[1])]["id"]
    except (LookupError, TypeError):
        return None
    return account_id if isinstance(account_id, str) and account_id else None
