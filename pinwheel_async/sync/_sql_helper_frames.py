"""What a sink and the process that writes for it say to each other: frames through a socket, packed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from functools import cache
from struct import Struct
from typing import Any, cast

from pinwheel_async._core.convert import decode
from pinwheel_async._core.lean import UNPACKABLE, Lean, lean, pack, unpacker
from pinwheel_async._core.shape import Shape
from pinwheel_async.errors import DecodeError, PinwheelError, SinkError, SupersededError
from pinwheel_async.sync._lean import Sealed
from pinwheel_async.sync._sink import Batch, Kind, Mark
from pinwheel_async.sync._tables import STORED

AGAIN = pack(["again"])
"""What the helper says of a page that it cannot read: it is for the other one to write."""

GOODBYE = 2**32 - 1
"""Number of the last frame: the helper finishes what it was given. Without it, it drops everything at once, because a
later run may be reading the same by then."""

_HEAD = Struct(">II")
"""Number of the frame, and how many bytes follow."""

_CHUNK = 1024 * 1024
"""Bytes that are read at a time, at most."""

_SIZE = Struct(">I")

_NEWEST = "9999-12-31"
"""What the helper is given unread is of a version that needs no lifting."""


async def connect(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the two directions of a socket."""
    return await asyncio.open_connection(sock=connection, limit=_CHUNK)


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Yield number and content of every frame, until the other side is gone."""
    rest = b""
    while True:
        try:
            chunk = await reader.read(_CHUNK)
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


def pack_page(batch: Batch) -> bytes | None:
    """Pack a page; None if it holds something that only models can hold."""
    items: object = batch.items
    is_list = items.is_list if isinstance(items, Sealed) else None
    if is_list is None and not all(isinstance(one, Lean) for one in cast("Sequence[object]", items)):
        return None
    try:
        known = pack((batch.kind, batch.account_id, batch.first, batch.last, batch.mark, is_list))
        return _SIZE.pack(len(known)) + known + (items.packed.body if isinstance(items, Sealed) else pack(items))
    except UNPACKABLE:
        return None


def unpack_page(content: bytes) -> Batch | None:
    """Return a page that was packed; None if it cannot be read."""
    at = _SIZE.size + _SIZE.unpack_from(content)[0]
    kind, account_id, first, last, mark, is_list = _head(content[_SIZE.size : at])
    items = _twins(kind, content[at:]) if is_list is None else _read(kind, content[at:], is_list=is_list)
    if items is None:
        return None
    return Batch(kind=kind, account_id=account_id, items=items, first=first, last=last, mark=mark)


def _twins(kind: Kind, content: bytes) -> Any:
    """Unpack twins; None if they cannot be."""
    try:
        return _unpack_twins(kind)(content)
    except UNPACKABLE:
        return None


def _read(kind: Kind, body: bytes, *, is_list: bool) -> Any:
    """Read twins out of an answer; None if they are no twins, because it is not quite as documented."""
    data = decode(Shape(STORED[kind].model, is_list, None, lean=True), body, _NEWEST).data
    items: Any = data if is_list else (data,)
    return items if items is not None and all(isinstance(one, Lean) for one in items) else None


def pack_outcome(error: PinwheelError | None) -> bytes:
    """Pack what became of a page."""
    match error:
        case None:
            return pack([])
        case SupersededError():
            return pack(["superseded"])
        case DecodeError():
            return pack(["decode", error.where, *error.paths])
        case SinkError():
            return pack(["sink", error.reason])
        case _:
            return AGAIN


def unpack_outcome(content: bytes) -> PinwheelError | bool:
    """Return what became of a page: an error, or whether it was written."""
    match unpacker(list[str])(content):
        case []:
            return True
        case ["superseded"]:
            return SupersededError()
        case ["decode", where, *paths]:
            return DecodeError(where=where, paths=paths)
        case ["sink", reason]:
            return SinkError("the database did not store a page", reason=reason)
        case _:
            return False


_head = unpacker(cast("Any", tuple[Kind, str | None, bool, bool, Mark | None, bool | None]))


@cache
def _unpack_twins(kind: Kind) -> Any:
    return unpacker(cast("Any", tuple)[lean(cast("Any", STORED[kind].model)), ...])
