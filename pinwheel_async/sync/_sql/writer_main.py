"""Main program of the writer process: its only input is a socket at stdin, and it ends when that does."""

import asyncio
import gc
import os
import socket
from typing import NoReturn

from pinwheel_async._core.derived import unpacker
from pinwheel_async.errors import PinwheelError
from pinwheel_async.sync._page_formats import PageItems
from pinwheel_async.sync._sink import Batch
from pinwheel_async.sync._sql.sink import SqlSink
from pinwheel_async.sync._sql.writer_protocol import (
    GOODBYE,
    HEARTBEAT,
    NOT_READ,
    connect,
    frame,
    frames,
    pack_outcome,
    unpack_page,
)

_BEAT_S = 1.0
"""Seconds between two heartbeats."""


async def _serve(connection: socket.socket) -> None:
    """Store every page that comes, and answer with its outcome."""
    reader, writer = await connect(connection)
    beating = asyncio.create_task(_beat(writer), name="pinwheel-sync-writer-heartbeat")
    received = frames(reader)
    _, settings = await anext(received)
    url, schema, prefix, keep_deleted, patience_s = unpacker(tuple[str, str | None, str, bool, float])(settings)
    sink = SqlSink(url, schema=schema, prefix=prefix, keep_deleted=keep_deleted, patience_s=patience_s)
    await sink.open()
    try:
        async with asyncio.TaskGroup() as pages:
            async for number, content in received:
                if number == GOODBYE:
                    break
                pages.create_task(_store(sink, writer, number, content))
            else:
                _exit()
    finally:
        await sink.close(complete=True)
    beating.cancel()
    writer.close()


async def _beat(writer: asyncio.StreamWriter) -> None:
    """Say that this process is alive, also while it opens the database or waits for it."""
    while True:
        writer.write(frame(HEARTBEAT))
        await asyncio.sleep(_BEAT_S)


def _exit() -> NoReturn:
    """End at once, in the middle of what is being done: the process that fetched was killed, and may run again."""
    os._exit(1)


async def _store(sink: SqlSink, writer: asyncio.StreamWriter, number: int, content: bytes) -> None:
    batch = unpack_page(content, keep_json=sink.keep_json)
    writer.write(frame(number, NOT_READ if batch is None else await _outcome(sink, batch)))


async def _outcome(sink: SqlSink, batch: Batch[PageItems]) -> bytes:
    try:
        await sink.write(batch)
    except PinwheelError as error:
        return pack_outcome(error)
    return pack_outcome(None)


if __name__ == "__main__":
    # Modules stay, and pages are structs that the collector does not track: it would hardly find any garbage, so it
    # looks after 50,000 new containers, not after some hundred.
    gc.freeze()
    gc.set_threshold(50_000)
    asyncio.run(_serve(socket.socket(fileno=0)))
