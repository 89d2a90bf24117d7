"""The process that writes pages for another one: its only input is a socket at stdin, and it ends when that does."""

import asyncio
import gc
import os
import socket
from typing import NoReturn

from pinwheel_async._core.lean import unpacker
from pinwheel_async.errors import PinwheelError
from pinwheel_async.sync._sink import Batch
from pinwheel_async.sync._sql import SqlSink
from pinwheel_async.sync._sql_helper_frames import AGAIN, GOODBYE, connect, frame, frames, pack_outcome, unpack_page


async def _serve(connection: socket.socket) -> None:
    reader, writer = await connect(connection)
    given = frames(reader)
    _, told = await anext(given)
    url, keep_deleted = unpacker(tuple[str, bool])(told)
    sink = SqlSink(url, keep_deleted=keep_deleted)
    await sink.open()
    try:
        async with asyncio.TaskGroup() as pages:
            async for number, content in given:
                if number == GOODBYE:
                    break
                pages.create_task(_store(sink, writer, number, content))
            else:
                _leave()
    finally:
        await sink.close(complete=True)
    writer.close()


def _leave() -> NoReturn:
    """End at once, in the middle of whatever is being done."""
    os._exit(1)


async def _store(sink: SqlSink, writer: asyncio.StreamWriter, number: int, content: bytes) -> None:
    batch = unpack_page(content)
    writer.write(frame(number, AGAIN if batch is None else await _outcome(sink, batch)))


async def _outcome(sink: SqlSink, batch: Batch) -> bytes:
    try:
        await sink.write(batch)
    except PinwheelError as error:
        return pack_outcome(error)
    return pack_outcome(None)


if __name__ == "__main__":
    # What is there by now stays, and nothing that comes holds itself: looking for garbage is hardly worth the time.
    gc.freeze()
    gc.set_threshold(50_000)
    asyncio.run(_serve(socket.socket(fileno=0)))
