"""The made-up world behind the fake: generated from a seed when it is read, changed where a test changes it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs
import msgspec

from pinwheel_async.models.account import Account
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing import _pay, _people
from pinwheel_async.testing._call import Entry, not_found
from pinwheel_async.testing._desk import Desk
from pinwheel_async.testing._ids import Ids
from pinwheel_async.testing._people import Change, Profile, Record, updated_at

_ONE: dict[str, Callable[[Profile, Ids, Change], Record]] = {
    "identity": _people.identity,
    "employment": _people.employment,
    "income": _people.income,
    "direct_deposit_allocations": _people.allocations,
}
_MANY: dict[str, Callable[[Profile, Ids, Change], list[Record]]] = {
    "paystubs": _pay.paystubs,
    "shifts": _pay.shifts,
    "tax_forms": _pay.tax_forms,
}
_FACTS = ("id", "pay_date", "start_date", "end_date", "year", "connected", "monitoring_status", "end_user_id")
_KEPT_LISTS = 4_096


class World:
    """Accounts and what the fake knows about them.

    Nothing is made before it is read, so a world of a million accounts costs as little as one of ten.
    """

    def __init__(self, *, accounts: int, seed: int, api_secret: str) -> None:
        self.ids = Ids(seed)
        self.desk = Desk(self.ids, api_secret, self.now)
        self._count = accounts
        self._clock: datetime | None = None
        self._changes: dict[tuple[int, str], Change] = {}
        self._edits: dict[int, Record] = {}
        self._deleted: set[str] = set()
        self._extra_owners: dict[str, list[int]] = {}
        self._entries: OrderedDict[tuple[int, str], tuple[Entry, ...]] = OrderedDict()
        self.profile = lru_cache(_KEPT_LISTS)(self._make_profile)

    def __repr__(self) -> str:
        """Return how many accounts there are."""
        return f"<World of {self._count} accounts>"

    @property
    def account_count(self) -> int:
        """Number of accounts."""
        return self._count

    def now(self) -> datetime:
        """Return what time it is in the world: the time that was set, or the real one."""
        return self._clock or datetime.now(UTC)

    def set_clock(self, now: datetime | None) -> None:
        """Stop the world's clock at an aware moment, or let it go on with the real time if None."""
        if now is not None and now.tzinfo is None:
            raise ValueError("now must be an aware datetime, such as datetime.now(UTC)")
        self._clock = now and now.astimezone(UTC)

    def account_id(self, index: int) -> str:
        """Return the id of an account by its number, from 0."""
        return self.ids.account(index)

    def account_ids(self) -> Iterator[str]:
        """Iterate over the ids of all accounts, in the order in which the API lists them."""
        return map(self.ids.account, range(self._count))

    def add_account(self, *, end_user_id: str | None = None, **changes: Any) -> str:
        """Add an account at the end of the list and return its id.

        Args:
            end_user_id: Whose account it is; somebody's when None.
            changes: Fields of the account to set, such as `connected=False`.
        """
        _check_fields(changes)
        index = self._count
        self._count += 1
        if end_user_id is not None:
            self._extra_owners.setdefault(end_user_id, []).append(index)
            changes["end_user_id"] = end_user_id
        self._edits[index] = changes
        return self.ids.account(index)

    def edit_account(self, account_id: str, **changes: Any) -> None:
        """Set fields of an account, such as `monitoring_status="degraded"`."""
        _check_fields(changes)
        index = self.index(account_id)
        self._edits[index] = self._edits.get(index, {}) | changes
        self._forget(index, "account")

    def touch(self, account_id: str, product: Product) -> None:
        """Change the data of a product: a list gets a newer item; `data_updated_at` moves."""
        index = self.index(account_id)
        self._change(index, product, adds=True)

    def delete_paystub(self, account_id: str, paystub_id: str) -> None:
        """Delete a paystub; `data_updated_at` moves."""
        index = self.index(account_id)
        if not any(entry.facts["id"] == paystub_id for entry in self.entries(index, "paystubs")):
            raise KeyError(paystub_id)
        self._deleted.add(paystub_id)
        self._change(index, "paystubs", adds=False)

    def records(self, account_id: str, product: Product) -> list[Record]:
        """Return what the fake says about a product now, complete and in its order; links to files are only marks."""
        entries = self.entries(self.index(account_id), product)
        return [msgspec.json.decode(entry.body) for entry in entries]

    def index(self, account_id: str) -> int:
        """Return the number of an account.

        Raises:
            RefusedError: There is no such account; the fake answers 404.
        """
        index = self.ids.index(account_id)
        if index is None or not 0 <= index < self._count:
            raise not_found("account")
        return index

    def change(self, index: int, product: str) -> Change:
        """Return what happened to a product."""
        return self._changes.get((index, product), Change())

    def entries(self, index: int, product: str) -> tuple[Entry, ...]:
        """Return the encoded items of a product (or of `account`), newest first; made once, then kept for a while."""
        kept = self._entries.get((index, product))
        if kept is None:
            kept = self._entries[index, product] = self._make_entries(index, product)
            if len(self._entries) > _KEPT_LISTS:
                self._entries.popitem(last=False)
        return kept

    def accounts(self, after: int | None) -> Iterator[Entry]:
        """Iterate over the accounts behind one, or over all of them."""
        start = 0 if after is None else after + 1
        return (self.entries(index, "account")[0] for index in range(start, self._count))

    def accounts_of(self, end_user_id: str) -> list[int]:
        """Return the numbers of an end user's accounts.

        Raises:
            RefusedError: There is no such end user; the fake answers 404.
        """
        end_user_id = end_user_id.strip()
        name = end_user_id.removeprefix("end_user_")
        number = int(name) if name.isascii() and name.isdigit() else -1
        generated = [one for one in (number, number + 1) if 0 <= one < self._count]
        known = [*generated, *self._extra_owners.get(end_user_id, ())]
        mine = [one for one in known if self.entries(one, "account")[0].facts["end_user_id"] == end_user_id]
        if not mine:
            raise not_found("end user")
        return mine

    def _make_profile(self, index: int) -> Profile:
        return _people.make_profile(self.ids, index)

    def _make_entries(self, index: int, product: str) -> tuple[Entry, ...]:
        profile = self.profile(index)
        if product == "account":
            changes: dict[str, Change] = {name: self.change(index, name) for name in PRODUCTS}
            made = [_people.account(profile, self.ids, changes) | self._edits.get(index, {})]
        elif product in _ONE:
            made = [_ONE[product](profile, self.ids, self.change(index, product))]
        else:
            made = _MANY[product](profile, self.ids, self.change(index, product))
        first = index if product == "account" else 0
        entries = [_entry(first - number, record) for number, record in enumerate(made)]
        return tuple([entry for entry in reversed(entries) if entry.facts["id"] not in self._deleted])

    def _change(self, index: int, product: str, *, adds: bool) -> None:
        before = self.change(index, product)
        # Changes in the same instant, or with a clock that was set back, must be told apart.
        last = updated_at(self.profile(index), product, before)
        at = max(self.now(), last + timedelta(milliseconds=1))
        self._changes[index, product] = Change((*before.additions, at) if adds else before.additions, at)
        self._forget(index, product)
        self._forget(index, "account")

    def _forget(self, index: int, product: str) -> None:
        self._entries.pop((index, product), None)


def _check_fields(changes: Record) -> None:
    unknown = changes.keys() - {one.name for one in attrs.fields(Account)}
    if unknown:
        raise TypeError(f"an account has no {', '.join(sorted(unknown))}")


def _entry(rank: int, record: Record) -> Entry:
    facts = {name: record[name] for name in _FACTS if name in record}
    return Entry(rank, msgspec.json.encode(record), facts)
