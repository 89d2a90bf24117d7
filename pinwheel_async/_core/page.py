"""Pages of a list, and what the API says about a page."""

from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeVar, overload

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model

T = TypeVar("T")


@frozen(kw_only=True, repr=False)
class ListMeta(Model):
    """What a search answer says about itself (it is not paginated)."""

    count: int | None = None
    """Objects in this page, not the total."""


@frozen(kw_only=True, repr=False)
class PaginationMeta(ListMeta):
    """What an ordinary paginated list says about a page."""

    next_cursor: str | None
    """Cursor of the next page, opaque; null on the last page. Differs on every call, so it cannot be compared."""


@frozen(kw_only=True, repr=False)
class RefreshablePaginationMeta(PaginationMeta):
    """What a paginated list of one account says about a page."""

    refreshed_at: Timestamp | None = None
    """When the data was last checked at the source."""


@frozen(kw_only=True, repr=False)
class FreshnessPaginationMeta(RefreshablePaginationMeta):
    """What the earnings stream list says about a page."""

    updated_at: Timestamp | None = None
    """When the data last changed."""


@frozen(kw_only=True, repr=False)
class RefreshableMeta(Model):
    """What the answer about a single object that is refreshed in the background says about it."""

    refreshed_at: Timestamp | None = None
    """When the data was last checked at the source. It may lie before or after the object's `updated_at`."""


@frozen(kw_only=True, repr=False)
class Page(Model, Generic[T]):
    """One page of a list."""

    data: tuple[T, ...]
    """The objects, in the server's order."""
    meta: ListMeta = field(
        metadata={"by_keys": (FreshnessPaginationMeta, RefreshablePaginationMeta, PaginationMeta, ListMeta)}
    )
    """What the server said about the page; the class is the one that the endpoint documents."""

    def __iter__(self) -> Iterator[T]:
        """Iterate over the objects of this page only."""
        return iter(self.data)

    def __len__(self) -> int:
        """Return the number of objects in this page."""
        return len(self.data)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        """Return one object of this page, or some."""
        return self.data[index]

    @property
    def next_cursor(self) -> str | None:
        """Cursor of the next page; None on the last one."""
        return self.meta.next_cursor if isinstance(self.meta, PaginationMeta) else None

    @property
    def refreshed_at(self) -> datetime | None:
        """When the data was last checked at the source; None where the endpoint does not say."""
        return self.meta.refreshed_at if isinstance(self.meta, RefreshablePaginationMeta) else None


@frozen(kw_only=True, repr=False)
class PageWithoutEnd(Page[T]):
    """A page that does not say whether there is another one, though its version has a place for that.

    It is taken for the last one; who would remove what no page holds must not believe that.
    """
