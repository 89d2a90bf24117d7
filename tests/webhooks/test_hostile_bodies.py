"""Hostile bodies, most of them with a good signature: what is authentic is answered 200, whatever it is."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest

GOOD = b'{"event_id": "good", "event": "moon.risen", "payload": {"account_id": "a"}}'
MEBI = 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity", "x", "gzip, gzip", ""])
@pytest.mark.parametrize("body", [GOOD, gzip.compress(GOOD), zlib.compress(GOOD)[:-3]], ids=["plain", "gzip", "cut"])
async def test_encodings(target, encoding, body):
    """A signed body under a name of an encoding is taken, or to come again; 400 is the server's own answer."""
    statuses = await target.send(target.request(body, headers={"Content-Encoding": encoding}))

    assert all(status in {200, 400, 503} for status in statuses)
    assert [] == await target.unharmed()


async def test_bomb(target):
    """A body that unpacks to a thousand times its size is refused, and takes little memory."""
    bomb = gzip.compress(b"\x00" * (256 * MEBI))
    tracemalloc.start()
    try:
        statuses = await target.send(target.request(bomb, headers={"Content-Encoding": "gzip"}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [503] == statuses
    assert peak < 16 * MEBI
    assert [] == await target.unharmed()


DEEP = 100_000
BODIES = {
    "empty": b"",
    "bom": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "not utf-8": b'{"event_id": "\xff", "event": "income.added"}',
    "overlong utf-8": b'{"event_id": "\xc0\x80", "event": "income.added"}',
    "lone surrogate": b'{"event_id": "\\ud800", "event": "income.added", "payload": {"account_id": "\\udfff"}}',
    "nul": b'{"event_id": "a\\u0000b", "event": "income.added\\u0000", "payload": {"account_id": "\\u0000"}}',
    "trailing": GOOD + b"\x00",
    "two documents": GOOD + GOOD,
    "duplicated keys": b'{"event_id": "1", "event_id": 2, "event": "a", "event": [], "payload": {}, "payload": 7}',
    "deep list": b"[" * DEEP,
    "deep object": b'{"event_id": "1", "event": "income.added", "payload": '
    + b'{"a":' * DEEP
    + b"1"
    + b"}" * (DEEP + 1),
    "deep payload": b'{"event_id": "2", "event": "x", "payload": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "long number": b'{"event_id": "3", "event": "x", "payload": {"a": ' + b"1" * 100_000 + b"}}",
    "mad exponent": b'{"event_id": "4", "event": "income.added", "payload": {"a": 1e999999999999, "timestamp": 1e400}}',
    "nan": b'{"event_id": "5", "event": "x", "payload": {"a": NaN, "b": Infinity}}',
    "long id": json.dumps({"event_id": "x" * 10_000, "event": "income.added", "payload": {}}).encode(),
    "emoji": json.dumps(
        {"event_id": "🥐", "event": "🥐", "payload": {"account_id": "🥐"}}, ensure_ascii=False
    ).encode(),
    "many keys": json.dumps({f"key-{number}": number for number in range(50_000)}).encode(),
    "sql": json.dumps({"event_id": "'); DROP TABLE delivery; --", "event": "x", "payload": {}}).encode(),
    "the limit": GOOD + b" " * (MEBI - len(GOOD)),
}
ODD = [None, True, 0, -1, 1.5, 2**70, "", " ", "x", [], [[]], {}, {"a": {}}, ["income.added"]]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_authentic_bodies(target, body):
    """A validly signed body of any kind is answered 200, and handled or kept as dead."""
    assert [200] == await target.send(target.request(body))
    await settled(target.inbox)
    assert [] == await target.unharmed()


@pytest.mark.parametrize(
    "key", ["event_id", "event", "payload", "account_id", "timestamp", "outcome", "params", "added"]
)
async def test_authentic_fields(target, body, key):
    """A validly signed envelope with a value of another type in any field is answered 200."""
    for number, value in enumerate(ODD):
        made = json.loads(body("paystubs.added", event_id=f"{key}-{number}"))
        (made if key in made else made["payload"])[key] = value
        assert [200] == await target.send(target.request(json.dumps(made).encode()))
    await settled(target.inbox)
    assert [] == await target.unharmed()


async def settled(inbox):
    async with asyncio.timeout(10):
        while (counts := await inbox.counts()).waiting or counts.claimed:
            await asyncio.sleep(0)
