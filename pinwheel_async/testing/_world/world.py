"""World of made-up accounts behind the fake: generated from a seed when it is read, changed where a test changes it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import attrs
import msgspec

from pinwheel_async._core.arguments import meant
from pinwheel_async.models.account import Account
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing._clock import FakeClock
from pinwheel_async.testing._world import pay as _pay, people as _people
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.people import START, Change, Profile, updated_at
from pinwheel_async.testing._world.records import Entry, Record, not_found
from pinwheel_async.testing._world.resources import CreatedResources

_OBJECTS: dict[str, Callable[[Profile, Ids, Change], Record]] = {
    "identity": _people.identity,
    "employment": _people.employment,
    "income": _people.income,
    "direct_deposit_allocations": _people.allocations,
}
_LISTS: dict[str, Callable[[Profile, Ids, Change], list[Record]]] = {
    "paystubs": _pay.paystubs,
    "shifts": _pay.shifts,
    "tax_forms": _pay.tax_forms,
}
_FACTS = (
    *("id", "pay_date", "start_date", "end_date", "year", "form_type"),
    *("connected", "monitoring_status", "end_user_id"),
)
# Encoded lists, and profiles, that stay in memory: a client reads the pages of a list soon after each other, so that
# more of a world of a million accounts need not stay.
_KEPT_LISTS = 4_096

_SEARCHED = 1_000
"""Accounts among which the one is looked for that was probably meant."""


class World:
    """Accounts and their data.

    Nothing is made before it is read, so a world of a million accounts costs as little as one of ten.
    """

    def __init__(
        self, *, accounts: int, seed: int, api_secret: str, clock: FakeClock | None = None, end: datetime = START
    ) -> None:
        self.ids: Ids = Ids(seed)
        self._size = accounts
        self._api_secret = api_secret
        self._clock = clock or FakeClock(speed=1)
        self._profile = lru_cache(_KEPT_LISTS)(self._make_profile)
        self.reset(end)

    def reset(self, end: datetime) -> None:
        """Forget every change, and everything that was created; let the generated data be complete at a moment."""
        self.end: datetime = end
        """Moment at which the generated data is complete."""
        self.resources: CreatedResources = CreatedResources(self.ids, self._api_secret, self.now, end)
        self._count = self._size
        # Changes by tests and clients, by number of the account; everything else follows from the seed.
        self._recast: dict[int, dict[str, Any]] = {}
        self._unseen: dict[tuple[int, str], int | None] = {}
        """How many of the oldest items of a product are not there yet; None if none of it is."""
        self._changes: dict[tuple[int, str], Change] = {}
        self._edits: dict[int, Record] = {}
        self._jobs: dict[int, list[Record]] = {}
        self.uploads: dict[str, list[Record]] = {}
        """Documents that end users uploaded while the fake ran, newest first."""
        self._deleted: set[str] = set()
        self._extra_owners: dict[str, list[int]] = {}
        self._entries: OrderedDict[tuple[int, str], tuple[Entry, ...]] = OrderedDict()
        self._profile.cache_clear()

    def __repr__(self) -> str:
        """Return how many accounts there are."""
        return f"<World of {self._count} accounts>"

    def __contains__(self, account_id: object) -> bool:
        """Return whether there is such an account."""
        index = self.ids.index(account_id) if isinstance(account_id, str) else None
        return index is not None and 0 <= index < self._count

    @property
    def account_count(self) -> int:
        """Number of accounts."""
        return self._count

    def now(self) -> datetime:
        """Return what time it is in the world."""
        return self._clock.now()

    def set_clock(self, now: datetime | None) -> None:
        """Stop the world's clock at an aware moment, or let it go on with the real time if None."""
        self._clock.set(now)

    def account_id(self, index: int) -> str:
        """Return the id of an account by its number, from 0."""
        return self.ids.account(index)

    def account_ids(self) -> Iterator[str]:
        """Iterate over the ids of all accounts, in the order in which the API lists them."""
        return map(self.ids.account, range(self._count))

    def meant_account(self, account_id: str) -> str:
        """Return the end of a sentence about an account that is not there: which one was probably meant."""
        return meant(account_id, islice(self.account_ids(), _SEARCHED))

    def add_account(self, *, end_user_id: str | None = None, **changes: Any) -> str:
        """Add an account at the end of the list and return its id.

        Args:
            end_user_id: Owner of the account; a made-up one if None.
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
        self._uncache(index, "account")

    def recast(self, account_id: str, **changes: Any) -> None:
        """Change the profile behind an account, such as `paystubs=31`; its data follows."""
        index = self.index(account_id)
        self._recast[index] = self._recast.get(index, {}) | changes
        self._profile.cache_clear()
        for product in ("account", *PRODUCTS):
            self._uncache(index, product)

    def connect(self, account_id: str, *, link_token_id: str, end_user_id: str | None = None) -> None:
        """Start an account from scratch, as if its owner had logged in just now: none of its data is there yet.

        Args:
            account_id: The account.
            link_token_id: Link token of the session.
            end_user_id: Owner of the account from now on; the same as before if None.
        """
        index, now = self.index(account_id), self.now()
        for product in PRODUCTS:
            self._changes.pop((index, product), None)
            self._unseen[index, product] = None
        self._jobs[index] = []
        self.recast(account_id, created_at=now, checked_at=now, at_once=True)
        self.edit_account(account_id, link_token_id=link_token_id, connected=True, monitoring_status="active")
        if end_user_id is not None:
            self._extra_owners.setdefault(end_user_id, []).append(index)
            self.edit_account(account_id, end_user_id=end_user_id)

    def reveal(self, account_id: str, product: Product, unseen: int = 0) -> None:
        """Show the data of a product, except for so many of the oldest items; `data_updated_at` moves."""
        index = self.index(account_id)
        self._unseen[index, product] = unseen
        before = self.change(index, product)
        at = self.now() if before.at is None else max(self.now(), before.at + timedelta(milliseconds=1))
        self._changes[index, product] = attrs.evolve(before, at=at)
        self._uncache(index, product)
        self._uncache(index, "account")

    def add_job(self, account_id: str, job: Record) -> None:
        """Add a job of a Link session that has ended; it takes the place of a pending one of the same name."""
        jobs = self._jobs.setdefault(self.index(account_id), [])
        jobs[:] = [former for former in jobs if former["name"] != job["name"] or former["outcome"] != "pending"]
        jobs.append(job)

    def jobs(self, index: int) -> list[Record] | None:
        """Return the jobs of an account's Link session; None for an account that was there from the start."""
        return self._jobs.get(index)

    def touch(self, account_id: str, product: Product) -> None:
        """Change the data of a product: a list gets a newer item; `data_updated_at` moves.

        A product that was not there yet is there then.

        Raises:
            ValueError: There is no such product.
        """
        if product not in PRODUCTS:
            raise ValueError(f"product must be one of {', '.join(PRODUCTS)}{meant(product, PRODUCTS)}")
        index = self.index(account_id)
        if self._unseen.get((index, product), 0) is None:
            del self._unseen[index, product]
        self._change(index, product, adds=True)

    def delete(self, account_id: str, product: Product, item_id: str) -> None:
        """Delete an item of a list; `data_updated_at` moves.

        Raises:
            KeyError: It is not there.
        """
        index = self.index(account_id)
        if not any(entry.facts["id"] == item_id for entry in self.entries(index, product)):
            raise KeyError(item_id)
        self._deleted.add(item_id)
        self._change(index, product, adds=False)

    def records(self, account_id: str, product: Product) -> list[Record]:
        """Return the data of a product as the fake would answer now; in place of links to files there are marks."""
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
        """Return the changes of a product."""
        return self._changes.get((index, product), Change())

    def entries(self, index: int, product: str) -> tuple[Entry, ...]:
        """Return the encoded items of a product (or of `account`) that are there by now, newest first."""
        unseen = self._unseen.get((index, product), 0)
        if unseen is None:
            return ()
        found = self.all_entries(index, product)
        return found[:-unseen] if unseen else found

    def all_entries(self, index: int, product: str) -> tuple[Entry, ...]:
        """Return the items that are there, and those that are still to come, from a cache of the lists read last."""
        kept = self._entries.get((index, product))
        if kept is None:
            kept = self._entries[index, product] = self._make_entries(index, product)
            if len(self._entries) > _KEPT_LISTS:
                self._entries.popitem(last=False)
        return kept

    def accounts(self, after: int | None) -> Iterator[Entry]:
        """Iterate over the accounts after a rank, or over all of them."""
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
        # A generated user has the account of that number and perhaps the next one; whose they are is checked below.
        generated = [index for index in (number, number + 1) if 0 <= index < self._count]
        known = dict.fromkeys([*generated, *self._extra_owners.get(end_user_id, ())])
        owned = [index for index in known if self.entries(index, "account")[0].facts["end_user_id"] == end_user_id]
        if not owned:
            raise not_found("end user")
        return owned

    def profile(self, index: int) -> Profile:
        """Return the profile that an account is made from."""
        return self._profile(index)

    def _make_profile(self, index: int) -> Profile:
        return attrs.evolve(_people.make_profile(self.ids, index, self.end), **self._recast.get(index, {}))

    def _make_entries(self, index: int, product: str) -> tuple[Entry, ...]:
        profile = self.profile(index)
        if product == "account":
            changes: dict[str, Change] = {name: self.change(index, name) for name in PRODUCTS}
            made = [self._dated(index, _people.account(profile, self.ids, changes)) | self._edits.get(index, {})]
        elif product in _OBJECTS:
            made = [_OBJECTS[product](profile, self.ids, self.change(index, product))]
        else:
            made = _LISTS[product](profile, self.ids, self.change(index, product))
        first = index if product == "account" else 0
        entries = [_entry(first - number, record) for number, record in enumerate(made)]
        return tuple([entry for entry in reversed(entries) if entry.facts["id"] not in self._deleted])

    def _dated(self, index: int, account: Record) -> Record:
        """Leave out the times of products that are not there yet."""
        for times in (account["data_updated_at"], account["data_refreshed_at"]):
            for product in [name for name in times if self._unseen.get((index, name), 0) is None]:
                del times[product]
        return account

    def _change(self, index: int, product: str, *, adds: bool) -> None:
        before = self.change(index, product)
        # Changes in the same instant, or with a clock that was set back, must be told apart.
        last = updated_at(self.profile(index), product, before)
        at = max(self.now(), last + timedelta(milliseconds=1))
        self._changes[index, product] = Change((*before.additions, at) if adds else before.additions, at)
        self._uncache(index, product)
        self._uncache(index, "account")

    def _uncache(self, index: int, product: str) -> None:
        self._entries.pop((index, product), None)


def _check_fields(changes: Record) -> None:
    unknown = changes.keys() - {attribute.name for attribute in attrs.fields(Account)}
    if unknown:
        raise TypeError(f"an account has no {', '.join(sorted(unknown))}")


def _entry(rank: int, record: Record) -> Entry:
    facts = {name: record[name] for name in _FACTS if name in record}
    return Entry(rank, msgspec.json.encode(record), facts)
