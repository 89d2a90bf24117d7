"""Protocol between a sink and its writer process: frames through a socket, with pages and outcomes packed."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from functools import cache
from struct import Struct
from typing import Any, cast

from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.derived import UNPACKABLE, StructModel, json_struct_of, pack, struct_of, unpacker
from pinwheel_async.errors import DecodeError, PinwheelError, SinkError, SupersededError, UnconfirmedRemovalError
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.sync._columns import MODELS
from pinwheel_async.sync._page_formats import PageItems, UndecodedPage
from pinwheel_async.sync._sink import Batch, Checkpoint, Kind

NOT_READ = pack(["not read"])
"""Outcome of a page that the writer process cannot read: it is for the process that fetched it to write."""

GOODBYE = 2**32 - 1
"""Number of the last frame: the writer process finishes what it was given. If the socket ends without it, the process
drops everything at once, because a later run may be reading the same by then."""

HEARTBEAT = 2**32 - 2
"""Number of the frames by which the writer process says, once a second, that it is alive."""

_HEAD = Struct(">II")
"""Number of the frame, and how many bytes follow."""

_CHUNK_BYTES = 1024 * 1024
"""Bytes that are read at a time, at most: a frame that is not whole is copied at every read, so two pages at least."""

_SIZE = Struct(">I")
"""How many bytes of a page's frame say what it is; the rest are its objects."""


async def connect(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the two directions of a socket."""
    return await asyncio.open_connection(sock=connection, limit=_CHUNK_BYTES)


async def frames(reader: asyncio.StreamReader) -> AsyncGenerator[tuple[int, bytes], None]:
    """Yield number and content of every frame, until the other side is gone."""
    rest = b""
    while True:
        try:
            chunk = await reader.read(_CHUNK_BYTES)
        except OSError:
            return
        if not chunk:
            return
        data, at = rest + chunk, 0
        while len(data) - at >= _HEAD.size:
            number, size = _HEAD.unpack_from(data, at)
            begin, end = at + _HEAD.size, at + _HEAD.size + size
            if end > len(data):
                break
            yield number, data[begin:end]
            at = end
        rest = data[at:]


def frame(number: int, content: bytes = b"") -> bytes:
    """Put content into a frame."""
    return _HEAD.pack(number, len(content)) + content


def pack_page(batch: Batch[PageItems]) -> bytes | None:
    """Pack a page; None if it holds something that only models can hold."""
    items = batch.items
    is_list = items.is_list if isinstance(items, UndecodedPage) else None
    if not isinstance(items, UndecodedPage) and not all(isinstance(item, StructModel) for item in items):
        return None
    try:
        head = pack((batch.kind, batch.account_id, batch.first, batch.last, batch.checkpoint, is_list))
        return _SIZE.pack(len(head)) + head + (items.body if isinstance(items, UndecodedPage) else pack(items))
    except UNPACKABLE:
        return None


def unpack_page(content: bytes, *, keep_json: bool = False) -> Batch[PageItems] | None:
    """Return a page that was packed; None if it cannot be read.

    Args:
        content: The page.
        keep_json: Whether its objects are to hold the JSON that they came as.
    """
    at = _SIZE.size + _SIZE.unpack_from(content)[0]
    kind, account_id, first, last, checkpoint, is_list = _head(content[_SIZE.size : at])
    if is_list is None:
        items = _structs(kind, content[at:], keep_json=keep_json)
    else:
        items = _read(kind, content[at:], is_list=is_list, keep_json=keep_json)
    if items is None:
        return None
    return Batch(kind=kind, account_id=account_id, items=items, first=first, last=last, checkpoint=checkpoint)


def _structs(kind: Kind, content: bytes, *, keep_json: bool) -> Any:
    """Unpack structs; None if they cannot be."""
    try:
        return _unpack_structs(kind, keep_json)(content)
    except UNPACKABLE:
        return None


def _read(kind: Kind, body: bytes, *, is_list: bool, keep_json: bool) -> Any:
    """Decode an answer to structs; None if it gives models, because it is not quite as documented."""
    # An answer whose objects have to be lifted from an older version is never left undecoded.
    data = decode(Shape(MODELS[kind], is_list, None), body, LATEST_VERSION, "structs", keep_json=keep_json).data
    items: Any = data if is_list else (data,)
    return items if items is not None and all(isinstance(item, StructModel) for item in items) else None


def pack_outcome(error: PinwheelError | None) -> bytes:
    """Pack what became of a page."""
    match error:
        case None:
            return pack([])
        case SupersededError():
            return pack(["superseded"])
        case UnconfirmedRemovalError():
            return pack(["unconfirmed removal"])
        case DecodeError():
            return pack(["decode", error.where, *error.paths])
        case SinkError():
            return pack(["sink", str(error).removesuffix(f": {error.reason}"), error.reason])
        case _:
            return NOT_READ


def unpack_outcome(content: bytes) -> PinwheelError | bool:
    """Return what became of a page: an error, or whether it was written."""
    match unpacker(list[str])(content):
        case []:
            return True
        case ["superseded"]:
            return SupersededError()
        case ["unconfirmed removal"]:
            return UnconfirmedRemovalError()
        case ["decode", where, *paths]:
            return DecodeError(where=where, paths=paths)
        case ["sink", problem, reason]:
            return SinkError(problem, reason=reason)
        case _:
            return False


_head = unpacker(cast("Any", tuple[Kind, str | None, bool, bool, Checkpoint | None, bool | None]))


@cache
def _unpack_structs(kind: Kind, keep_json: bool) -> Any:
    model = cast("Any", MODELS[kind])
    return unpacker(cast("Any", tuple)[json_struct_of(model) if keep_json else struct_of(model), ...])
