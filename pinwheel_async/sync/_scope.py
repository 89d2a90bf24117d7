"""Scope of a copy: whose data it holds, and what of it, so that nothing else gets into it by mistake."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Protocol, cast, runtime_checkable
from urllib.parse import urlsplit

from attrs import evolve, fields, frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.settings import BASE_URLS, LOOPBACK_HOSTS, Settings
from pinwheel_async.sync._sink import Kind, Store

_BOUNDED_BY: Mapping[Product, str] = {"paystubs": "from_pay_date", "shifts": "from_start_date"}
"""The day that bounds a list, where there is one."""

AGES: Mapping[Kind, str] = {"paystubs": "pay_date", "shifts": "start_date", "tax_forms": "year"}
"""What says how old an object is, where something does."""


@frozen(kw_only=True)
class Scope(Serializable):
    """Whose data a copy holds, and what of it; null for what nobody has said yet."""

    environment: str | None = None
    """`production`, `sandbox` or `development`; or the host of another base URL, and its path. The API does not say to
    which workspace a key belongs."""
    products: tuple[Product, ...] | None = None
    """The products; null means all."""
    from_pay_date: date | None = None
    """Paystubs are there from this day on; null means all."""
    from_start_date: date | None = None
    """Shifts are there from this day on; null means all."""
    purged_before: date | None = None
    """What is older was removed, and is not stored again."""
    keep_deleted: bool | None = None
    """Whether objects stay that were deleted at the source."""
    raw: bool | None = None
    """Whether each object is kept as JSON, too."""
    history: bool | None = None
    """Whether it is kept what was stored before of objects that changed or were removed."""
    api_version: str | None = None
    """The API version that was spoken last. Answers of all versions have the same shape here, so another one is no
    other copy."""

    def holds(self, product: Product) -> bool:
        """Whether a product belongs to the copy."""
        return self.products is None or product in self.products

    def first_day(self, product: Product, asked: date | None = None) -> date | None:
        """Return the day after which objects are to be read; null where all are.

        Args:
            product: Of which objects.
            asked: A later day, if not even the whole copy is to be read.
        """
        name = _BOUNDED_BY.get(product)
        if name is None:
            return None
        days = [asked, getattr(self, name)]
        if self.purged_before is not None and self.purged_before > date.min:
            days.append(self.purged_before - timedelta(days=1))
        return max([day for day in days if day is not None and day != date.min], default=None)

    def is_purged(self, kind: Kind, item: Any) -> bool:
        """Whether an object is as old as what was removed."""
        before = self.purged_before
        value: Any = getattr(item, AGES[kind], None) if before is not None and kind in AGES else None
        return before is not None and value is not None and value < (before.year if isinstance(value, int) else before)

    def is_other(self, now: "Scope") -> bool:
        """Whether a copy with this scope became one of which other pages are written, as far as this says anything."""
        return any(
            getattr(self, name) not in {None, getattr(now, name)}
            for name in ("environment", "keep_deleted", "raw", "history")
        )

    def merge(self, wanted: "Scope", *, change: bool = False) -> "Scope":
        """Return the scope of a copy with this scope, after somebody came who wants another one.

        To want less is no difference: fewer products, or later days. What was purged stays away, unless an earlier day
        is part of a change; `date.min` is that of no bound.

        Args:
            wanted: What is wanted; null for what may be as it is.
            change: Whether what differs is to become as it is wanted.

        Raises:
            ConfigurationError: It differs.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        is_new = self.products is None
        for name in [field.name for field in fields(Scope)]:
            here, there = getattr(wanted, name), getattr(self, name)
            if here is None:
                continue
            if name in _BOUNDED_BY.values():
                fits = is_new or there is None or here >= there
                # A later day on a copy that has all is a part of it, and no bound.
                value = (None if here == date.min else here) if is_new or change else there
            elif name == "products":
                fits = there is None or set(here) <= set(there)
                value = tuple([product for product in PRODUCTS if product in here]) if is_new or change else there
            else:
                fits, value = there is None or here == there or name == "api_version", here
            if fits or change:
                values[name] = value
            else:
                problems.append(f"{name}: {_text(there)} in the copy, {_text(here)} here")
        if problems:
            raise ConfigurationError(
                f"this is not what the copy holds ({'; '.join(problems)}): name another database, or say"
                " change_scope=True (--change-scope) to make it so"
            )
        if change and self.purged_before is not None and _earliest(wanted) < self.purged_before:
            values["purged_before"] = None
        return evolve(self, **values)


@runtime_checkable
class ScopedStore(Store, Protocol):
    """A store that remembers whose data it holds, and what of it."""

    async def exists(self) -> bool:
        """Whether there is a copy; called while the store is closed, and makes none."""
        ...

    async def claim(self, wanted: Scope, *, keep: bool = True) -> Scope:
        """Note what is wanted of the copy as far as nothing is noted, and return what it holds.

        Args:
            wanted: Null for what may be as it is.
            keep: Whether to note it.

        Raises:
            ConfigurationError: It differs from what is noted.
        """
        ...


async def claim(store: Store, settings: Settings, wanted: Scope, *, keep: bool = True) -> Scope:
    """Claim a store for a client with some settings; one that does not remember its scope holds whatever comes.

    Raises:
        ConfigurationError: The store holds something else.
    """
    if not isinstance(store, ScopedStore):
        return wanted
    environment = environment_of(settings.base_url)
    return await store.claim(evolve(wanted, environment=environment, api_version=settings.version), keep=keep)


def environment_of(base_url: str) -> str:
    """Return whose data there is at a base URL: its environment, or its host, and its path."""
    for name, url in BASE_URLS.items():
        if base_url == url:
            return name
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    # On this machine, servers of tests and tunnels get another port each time.
    port = "" if parts.port is None or host in LOOPBACK_HOSTS else f":{parts.port}"
    return f"{host}{port}{parts.path}"


def _earliest(wanted: Scope) -> date:
    return min([day for day in (wanted.from_pay_date, wanted.from_start_date) if day is not None], default=date.max)


def _text(value: Any) -> str:
    return ", ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)
