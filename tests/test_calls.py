"""Guard of the speed: how many calls of functions the work of each kind takes, which no busy machine changes.

A limit is a tenth to a third above what was counted, so that it leaves room for other versions of Python and small
changes, and none for a second path through the same data: a page that leaves the fast path takes hundreds of calls.
Whoever raises a limit says in the commit what the calls buy; `python -m benchmarks` says what they cost.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
from aiohttp import web

import pinwheel_async
from pinwheel_async._core.convert import _decoder, _ShapeDecoder
from pinwheel_async._core.converter import encode
from pinwheel_async._core.reply import read_reply
from pinwheel_async._core.signature import KeyRing, sign
from pinwheel_async._core.wire import Response
from pinwheel_async.client import Pinwheel
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import Event, IncomeAdded, decode_event
from pinwheel_async.models import Income, Shift
from pinwheel_async.testing import make, make_event, make_paystub
from pinwheel_async.webhooks import Receiver, Router
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._worker.dispatch import Dispatcher

PACKAGE = str(Path(pinwheel_async.__file__).parent)
ROWS = {row.operation: row for row in ENDPOINTS}
VERSION = "2025-07-08"
EVENT = make_event(IncomeAdded).to_json().encode()


@pytest.fixture(autouse=True)
def nothing_odd_was_seen():
    """Forget the odd places that other tests have shown to the decoders, which look there for ever."""
    _decoder.cache_clear()
    yield
    _decoder.cache_clear()


class Calls:
    """Counts the calls of Python functions of the library, and those of C functions that it makes itself."""

    def __init__(self) -> None:
        self.count = 0

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event in {"call", "c_call"} and name.startswith((PACKAGE, "<attrs generated")):
            self.count += 1

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


def calls(work: Callable[[], object]) -> int:
    """Count the calls of some work that was done before, so that everything that is kept is there."""
    for _ in range(3):
        work()
    with Calls() as counted:
        work()
    return counted.count


async def calls_of(work: Callable[[], Coroutine[Any, Any, object]]) -> int:
    for _ in range(3):
        await work()
    with Calls() as counted:
        await work()
    return counted.count


def page(items: list[Any], **odd: Any) -> bytes:
    documents = [json.loads(encode(item, nulls=True)) | odd for item in items]
    return json.dumps({"data": documents, "meta": {"count": len(items), "next_cursor": None}}).encode()


@pytest.mark.parametrize(
    ("operation", "items", "limit"),
    [
        ("list_paystubs", [make_paystub(number) for number in range(20)], 20),
        ("list_shifts", [make(Shift) for _ in range(20)], 20),
    ],
)
def test_a_page(operation, items, limit):
    """The calls for a page do not grow with its objects."""
    row, response = ROWS[operation], Response(status=200, headers={}, body=page(items))

    assert calls(lambda: read_reply(row, response, version=VERSION)) <= limit


def test_a_page_in_which_every_object_is_odd():
    """At a place that was odd before, an object takes some calls more, and no slow path."""
    body = page([make_paystub(number) for number in range(20)], currency=None)
    decoder = _ShapeDecoder(ROWS["list_paystubs"].answer)

    assert calls(lambda: decoder.decode(body, VERSION)) <= 70


def test_verification():
    """A signature is verified with a handful of calls."""
    keys, body = KeyRing(["secret"]), b"{}"
    signature = sign("secret", "1773760000", body)

    assert calls(lambda: keys.verify(signature=signature, timestamp="1773760000", body=body)) <= 15


def test_an_event():
    """An event is decoded with a handful of calls."""
    assert decode_event(EVENT, version=VERSION).event
    assert calls(lambda: decode_event(EVENT, version=VERSION)) <= 17


async def test_dispatch():
    """A delivery goes to its handler in a task of its own, with some dozen calls."""
    router, handled = Router(), []

    @router.on(Event)
    async def handle(event: Event) -> None:
        handled.append(event)

    dispatcher, delivery = Dispatcher(router, timeout_s=5), make_delivery({}, EVENT, key="k")

    assert await calls_of(lambda: dispatcher.run(delivery, EVENT, VERSION)) <= 59
    assert handled


async def test_a_delivery():
    """A delivery is received and handled with some dozen calls more than it takes to handle it."""
    router, signature = Router(), sign("secret", "1773760000", EVENT)
    headers = {"x-timestamp": "1773760000", "x-pinwheel-signature": signature}

    @router.on(Event)
    async def handle(event: Event) -> None: ...

    async with Receiver(router, ["secret"]) as receiver:
        assert 200 == (await receiver.receive(headers, EVENT)).status
        assert await calls_of(lambda: receiver.receive(headers, EVENT)) <= 106


async def test_a_call(mock_site):
    """A call takes some dozen calls around aiohttp's."""
    income = b'{"data": %s, "meta": {}}' % encode(make(Income), nulls=True)
    site = mock_site(web.Response(body=income))
    async with Pinwheel("secret", base_url=site.base_url) as pinwheel:
        assert await calls_of(lambda: pinwheel.income.get("account")) <= 90


async def test_a_page_of_a_list(mock_site):
    """Reading a list by its items takes some dozen calls around aiohttp's, and one for each item."""
    site = mock_site(web.Response(body=page([make_paystub(number) for number in range(20)])))
    async with Pinwheel("secret", base_url=site.base_url) as pinwheel:

        async def read() -> None:
            async for _ in pinwheel.paystubs.list("account"):
                await asyncio.sleep(0)

        assert await calls_of(read) <= 135
