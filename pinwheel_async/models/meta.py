"""Metadata of an answer, which stands beside its `data`: counts, cursors and freshness."""

from pinwheel_async._core.page import (
    FreshnessPaginationMeta,
    ListMeta,
    PaginationMeta,
    RefreshableMeta,
    RefreshablePaginationMeta,
)

__all__ = [
    "FreshnessPaginationMeta",
    "ListMeta",
    "PaginationMeta",
    "RefreshableMeta",
    "RefreshablePaginationMeta",
]
