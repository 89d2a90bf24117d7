"""Copy accounts and their data into a database, or wherever a sink puts them.

```python
from pinwheel_async import Pinwheel
from pinwheel_async.sync import SqlSink, sync

async with Pinwheel(api_secret, environment="production") as pinwheel:
    report = await sync(pinwheel, SqlSink("sqlite:///payroll.db"))
    report.raise_for_errors()
```
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy
from pinwheel_async.sync._files.jsonlines import JsonLinesSink
from pinwheel_async.sync._memory import MemorySink, MemoryStore
from pinwheel_async.sync._mirror.completeness import Completeness
from pinwheel_async.sync._mirror.mirror import Mirror
from pinwheel_async.sync._mirror.reconcile import Reconciliation
from pinwheel_async.sync._report import ProductCounts, Progress, SyncFailure, SyncReport
from pinwheel_async.sync._scope import Scope, ScopedStore
from pinwheel_async.sync._sink import (
    AnnouncedList,
    Announcement,
    AnnouncementStore,
    Batch,
    Checkpoint,
    FailedProduct,
    Kind,
    Sink,
    Store,
)
from pinwheel_async.sync._sync import sync

if TYPE_CHECKING:
    from pinwheel_async.sync._files.parquet import ParquetSink
    from pinwheel_async.sync._fleet.fleet import Fleet, FleetRun
    from pinwheel_async.sync._history.read import Change, as_of, changes
    from pinwheel_async.sync._maintenance.export import export
    from pinwheel_async.sync._maintenance.purge import Erasure, lift_erasure, purge
    from pinwheel_async.sync._maintenance.status import Announced, ProductStatus, Status, status
    from pinwheel_async.sync._sql.sink import SqlSink
    from pinwheel_async.sync._sql.tables import METADATA

__all__ = [
    "METADATA",
    "Announced",
    "AnnouncedList",
    "Announcement",
    "AnnouncementStore",
    "Batch",
    "Change",
    "Checkpoint",
    "Completeness",
    "Erasure",
    "FailedProduct",
    "Fleet",
    "FleetRun",
    "JsonLinesSink",
    "Kind",
    "MemorySink",
    "MemoryStore",
    "Mirror",
    "ParquetSink",
    "ProductCounts",
    "ProductStatus",
    "Progress",
    "Reconciliation",
    "Scope",
    "ScopedStore",
    "Sink",
    "SqlSink",
    "Status",
    "Store",
    "SyncFailure",
    "SyncReport",
    "as_of",
    "changes",
    "export",
    "lift_erasure",
    "purge",
    "status",
    "sync",
]

_LAZY = {
    "METADATA": "pinwheel_async.sync._sql.tables",
    "ParquetSink": "pinwheel_async.sync._files.parquet",
    "SqlSink": "pinwheel_async.sync._sql.sink",
    "Fleet": "pinwheel_async.sync._fleet.fleet",
    "FleetRun": "pinwheel_async.sync._fleet.fleet",
    "Change": "pinwheel_async.sync._history.read",
    "as_of": "pinwheel_async.sync._history.read",
    "changes": "pinwheel_async.sync._history.read",
    "Announced": "pinwheel_async.sync._maintenance.status",
    "Erasure": "pinwheel_async.sync._maintenance.purge",
    "ProductStatus": "pinwheel_async.sync._maintenance.status",
    "Status": "pinwheel_async.sync._maintenance.status",
    "export": "pinwheel_async.sync._maintenance.export",
    "lift_erasure": "pinwheel_async.sync._maintenance.purge",
    "purge": "pinwheel_async.sync._maintenance.purge",
    "status": "pinwheel_async.sync._maintenance.status",
}
_EXTRAS = {"sqlalchemy": ("SQLAlchemy", "sql"), "pyarrow": ("pyarrow", "parquet")}

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    __getattr__, __dir__ = _lazy.attach(__name__, _LAZY, extras=_EXTRAS)
