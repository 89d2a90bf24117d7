"""What a run leaves beside the data for the next one: what failed, and since when everything is read again."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pinwheel_async.sync._reading import Unit
from pinwheel_async.sync._sink import Store

FAILURES = "sync:failures"
_REFETCH = "sync:refetch"

_REFETCH_LASTS = timedelta(hours=24)


async def load_failures(store: Store) -> dict[Unit, str]:
    """Return what failed and was not read since, with the names of the errors."""
    text = await store.load(FAILURES)
    found: list[Any] = json.loads(text) if text else []
    return {Unit(one["account_id"], one["product"]): one["error"] for one in found}


async def save_failures(store: Store, failures: Mapping[Unit, str]) -> None:
    """Keep what failed: ids and names of errors, no messages."""
    found = [
        {"account_id": unit.account_id, "product": unit.product, "error": error} for unit, error in failures.items()
    ]
    await store.save(FAILURES, json.dumps(found).encode() if found else None)


async def load_refetch(store: Store, now: datetime) -> datetime | None:
    """Return when the run began that was to read everything again and did not end; null if it is not to go on."""
    text = await store.load(_REFETCH)
    if text is None:
        return None
    began = datetime.fromisoformat(text.decode())
    return began if timedelta(0) <= now - began <= _REFETCH_LASTS else None


async def save_refetch(store: Store, began: datetime | None) -> None:
    """Keep when a run began that reads everything again; None when it has ended."""
    await store.save(_REFETCH, None if began is None else began.isoformat().encode())
