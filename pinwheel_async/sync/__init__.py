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

from pinwheel_async.sync._jsonlines import JsonLinesSink
from pinwheel_async.sync._memory import MemorySink, MemoryStore
from pinwheel_async.sync._report import Failure, ProductCounts, Progress, SyncReport
from pinwheel_async.sync._run import sync
from pinwheel_async.sync._sink import Batch, Kind, Mark, Sink, Store

if TYPE_CHECKING:
    from pinwheel_async.sync._sql import SqlSink
    from pinwheel_async.sync._tables import METADATA

__all__ = [
    "METADATA",
    "Batch",
    "Failure",
    "JsonLinesSink",
    "Kind",
    "Mark",
    "MemorySink",
    "MemoryStore",
    "ProductCounts",
    "Progress",
    "Sink",
    "SqlSink",
    "Store",
    "SyncReport",
    "sync",
]

_SQL = {"METADATA": "pinwheel_async.sync._tables", "SqlSink": "pinwheel_async.sync._sql"}


def __getattr__(name: str) -> object:
    """Import what needs SQLAlchemy when it is first asked for.

    Raises:
        ModuleNotFoundError: It needs an extra that is not installed.
    """
    if name not in _SQL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_SQL[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
    raise ModuleNotFoundError(f"{name} needs SQLAlchemy: pip install 'pinwheel-async[sql]'", name="sqlalchemy")
