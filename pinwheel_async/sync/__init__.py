"""Copy accounts and their data into a database, or wherever a sink puts them.

```python
from pinwheel_async import Pinwheel
from pinwheel_async.sync import SqlSink, sync

async with Pinwheel(api_secret, environment="production") as pinwheel:
    report = await sync(pinwheel, SqlSink("sqlite:///payroll.db"))
    report.raise_for_errors()
```
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pinwheel_async.sync._completeness import LedgerEntry
from pinwheel_async.sync._jsonlines import JsonLinesSink
from pinwheel_async.sync._ledger import Announcement, LedgerStore
from pinwheel_async.sync._memory import MemorySink, MemoryStore
from pinwheel_async.sync._mirror import Mirror
from pinwheel_async.sync._mirror_reconcile import Reconciliation
from pinwheel_async.sync._report import Failure, ProductCounts, Progress, SyncReport
from pinwheel_async.sync._sink import Batch, Kind, Mark, Sink, Store
from pinwheel_async.sync._sync import sync

if TYPE_CHECKING:
    from pinwheel_async.sync._erasure import Erasure, purge
    from pinwheel_async.sync._export import export
    from pinwheel_async.sync._parquet import ParquetSink
    from pinwheel_async.sync._sql import SqlSink
    from pinwheel_async.sync._status import FailedProduct, ProductStatus, Status, status
    from pinwheel_async.sync._status_ledger import Announced
    from pinwheel_async.sync._tables import METADATA

__all__ = [
    "METADATA",
    "Announced",
    "Announcement",
    "Batch",
    "Erasure",
    "FailedProduct",
    "Failure",
    "JsonLinesSink",
    "Kind",
    "LedgerEntry",
    "LedgerStore",
    "Mark",
    "MemorySink",
    "MemoryStore",
    "Mirror",
    "ParquetSink",
    "ProductCounts",
    "ProductStatus",
    "Progress",
    "Reconciliation",
    "Sink",
    "SqlSink",
    "Status",
    "Store",
    "SyncReport",
    "export",
    "purge",
    "status",
    "sync",
]

_LAZY = {
    "METADATA": "pinwheel_async.sync._tables",
    "ParquetSink": "pinwheel_async.sync._parquet",
    "SqlSink": "pinwheel_async.sync._sql",
    "Announced": "pinwheel_async.sync._status_ledger",
    "Erasure": "pinwheel_async.sync._erasure",
    "FailedProduct": "pinwheel_async.sync._status",
    "ProductStatus": "pinwheel_async.sync._status",
    "Status": "pinwheel_async.sync._status",
    "export": "pinwheel_async.sync._export",
    "purge": "pinwheel_async.sync._erasure",
    "status": "pinwheel_async.sync._status",
}
_EXTRAS = {"sqlalchemy": ("SQLAlchemy", "sql"), "pyarrow": ("pyarrow", "parquet")}


def __getattr__(name: str) -> object:
    """Import what needs an extra when it is first asked for.

    Raises:
        ModuleNotFoundError: It needs an extra that is not installed.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing not in _EXTRAS:
            raise
    needed, extra = _EXTRAS[missing]
    raise ModuleNotFoundError(f"{name} needs {needed}: pip install 'pinwheel-async[{extra}]'", name=missing)
