"""Hostile input on raw sockets: what may be authentic gets 503 at worst, all else 4xx, and the receiver lives on."""

import pytest

GOOD = b'{"event_id": "good", "event": "moon.risen", "payload": {"account_id": "a"}}'
MEBI = 1024 * 1024

NOT_HTTP = {
    "blank lines": b"\r\n\r\nx\r\n\r\n",
    "noise": bytes(range(256)) * 4,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "no version": b"POST /hooks\r\n\r\n",
    "version 0.9": b"GET /hooks HTTP/0.9\r\n\r\n",
    "version 9.9": b"POST /hooks HTTP/9.9\r\n\r\n",
    "http2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "spaces": b"POST  /hooks  HTTP/1.1\r\nHost: x\r\n\r\n",
    "odd method": b"PO\x00ST /hooks HTTP/1.1\r\nHost: x\r\n\r\n",
    "long target": b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long method": b"A" * 70_000 + b" /hooks HTTP/1.1\r\n\r\n",
    "nul in target": b"POST /hooks\x00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "bad header": b"POST /hooks HTTP/1.1\r\nno colon\r\n\r\n",
    "empty name": b"POST /hooks HTTP/1.1\r\n: x\r\n\r\n",
    "blank in name": b"POST /hooks HTTP/1.1\r\nX Timestamp: 1\r\n\r\n",
    "folded": b"POST /hooks HTTP/1.1\r\nX: 1\r\n  2\r\n\r\n",
    "nul in value": b"POST /hooks HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    "bare newlines": b"POST /hooks HTTP/1.1\nHost: x\n\n",
    "headers flood": b"POST /hooks HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "long header": b"POST /hooks HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_not_http(target, raw):
    """Bytes that are no HTTP are refused by the server, or it hangs up."""
    statuses = await target.send(raw)

    assert all(400 <= status < 500 for status in statuses)
    assert [] == await target.unharmed()


TARGETS = {
    "another path": ("POST /hook HTTP/1.1", {404}),
    "below": ("POST /hooks/x HTTP/1.1", {404}),
    "dots": ("POST /hooks/../hooks HTTP/1.1", {200, 400, 404}),
    "percent": ("POST /hooks%2F HTTP/1.1", {404}),
    "broken percent": ("POST /hooks%zz HTTP/1.1", {400, 404}),
    "broken utf-8": ("POST /hooks%ff HTTP/1.1", {400, 404}),
    "query": ("POST /hooks?a=%ff&a[]=1 HTTP/1.1", {200}),
    "fragment": ("POST /hooks#x HTTP/1.1", {200, 400}),
    "absolute": ("POST http://x/hooks HTTP/1.1", {200}),
    "absolute with a mad port": ("POST http://x:99999999/hooks HTTP/1.1", {200, 400}),
    "absolute without a host": ("POST http:///hooks HTTP/1.1", {200, 400}),
    "asterisk": ("OPTIONS * HTTP/1.1", {400, 404, 405}),
    "unknown method": ("BREW /hooks HTTP/1.1", {400, 405}),
    "head": ("HEAD /hooks HTTP/1.1", {405}),
    "connect": ("CONNECT x:443 HTTP/1.1", {400, 404, 405}),
    "http 1.0": ("POST /hooks HTTP/1.0", {200}),
}


@pytest.mark.parametrize(("line", "expected"), TARGETS.values(), ids=TARGETS)
async def test_request_lines(target, line, expected):
    """Every target and method gets its status."""
    statuses = await target.send(target.request(line=line))

    assert set(statuses[:1]) <= expected
    assert [] == await target.unharmed()


FRAMING = {
    "negative length": {"headers": {"Content-Length": "-1"}},
    "length with plus": {"headers": {"Content-Length": "+5"}},
    "length of words": {"headers": {"Content-Length": "ten"}},
    "huge length": {"headers": {"Content-Length": "9" * 30}},
    "length over the limit": {"headers": {"Content-Length": str(MEBI + 1)}},
    "two lengths": {"extra": [b"Content-Length: 3"]},
    "length and chunked": {"headers": {"Transfer-Encoding": "chunked"}},
    "chunked twice": {"headers": {"Transfer-Encoding": "chunked, chunked"}, "drop": {"Content-Length"}},
    "unknown transfer encoding": {"headers": {"Transfer-Encoding": "zip"}, "drop": {"Content-Length"}},
    "chunks of nonsense": {
        "headers": {"Transfer-Encoding": "chunked"},
        "drop": {"Content-Length"},
        "sent": b"zz\r\nx\r\n",
    },
    "negative chunk": {"headers": {"Transfer-Encoding": "chunked"}, "drop": {"Content-Length"}, "sent": b"-5\r\nx\r\n"},
    "huge chunk": {
        "headers": {"Transfer-Encoding": "chunked"},
        "drop": {"Content-Length"},
        "sent": b"f" * 17 + b"\r\nx",
    },
    "endless chunk line": {
        "headers": {"Transfer-Encoding": "chunked"},
        "drop": {"Content-Length"},
        "sent": b"1;" + b"x" * 100_000,
    },
    "body cut off": {"sent": GOOD[:5]},
    "no body": {"sent": b""},
    "no length": {"drop": {"Content-Length"}},
    "unknown expectation": {"headers": {"Expect": "a-miracle"}},
    "upgrade": {"headers": {"Connection": "Upgrade", "Upgrade": "websocket"}},
}


@pytest.mark.parametrize("options", FRAMING.values(), ids=FRAMING)
@pytest.mark.parametrize("half_close", [True, False], ids=["half closed", "open"])
async def test_framing(target, options, half_close):
    """However a body is framed, it is answered, 503 at worst, or the server hangs up on a client that has."""
    statuses = await target.send(target.request(**options), half_close=half_close)

    assert all(status in {200, 400, 401, 417, 503} for status in statuses)
    assert statuses or half_close
    assert [] == await target.unharmed()


async def test_chunked(target):
    """A good delivery in chunks is taken."""
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in GOOD) + b"0\r\nTrailer: x\r\n\r\n"
    raw = target.request(headers={"Transfer-Encoding": "chunked"}, drop={"Content-Length"}, sent=chunks)

    assert [200] == await target.send(raw)


async def test_byte_by_byte(target):
    """A good delivery that comes one byte at a time is taken."""
    assert [200] == await target.send(*[bytes([byte]) for byte in target.request()])


async def test_expect_continue(target):
    """A sender that asks first is told to go on."""
    head, _, body = target.request(headers={"Expect": "100-continue"}).partition(b"\r\n\r\n")

    assert [200] == await target.send(head + b"\r\n\r\n", body)


async def test_pipelined(target):
    """Requests that come without waiting for answers are answered in order."""
    keep = {"Connection": "keep-alive"}
    good, bad = target.request(headers=keep), target.request(headers=keep | {"X-Timestamp": "1"})

    assert [200, 401, 200] == await target.send(good + bad + good, answers=3)
    assert [] == await target.unharmed()


async def test_smuggled(target):
    """Bytes that follow a refused body on the same connection are not taken for a request."""
    raw = target.request(headers={"Content-Length": str(MEBI + 1), "Connection": "keep-alive"}, sent=target.request())

    assert [503] == await target.send(raw)
    assert () == await target.inbox.entries()


ODD_VALUES = [
    b"",
    b" ",
    b"\x01",
    b"\xff\xfe",
    "é🥐".encode(),
    b"v2=" + b"0" * 64,
    b"v2=" + b"g" * 64,
    b"9" * 8000,
    b"-1",
]
ODD_VALUES += [b"1e9", b"nan", b"0x10", "١٢٣".encode(), b"%00", b"' or 1=1--", b"${jndi:ldap://x}", b"null"]


@pytest.mark.parametrize("name", ["X-Pinwheel-Signature", "X-Timestamp"])
@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: ascii(value[:12]))
async def test_signature_headers(target, name, value):
    """Odd values of the headers that count are answered 401, or 400 where they are no header at all."""
    raw = target.request(drop={name}, extra=[name.encode() + b": " + value])

    assert (await target.send(raw))[0] in {400, 401}
    assert [] == await target.unharmed()


@pytest.mark.parametrize("first", [True, False], ids=["good first", "good last"])
async def test_two_signatures(target, first):
    """Of two signatures the first one counts, and nothing breaks."""
    good = b"X-Pinwheel-Signature: " + target.signature(GOOD)
    pair = [good, b"X-Pinwheel-Signature: v2=" + b"0" * 64]
    raw = target.request(drop={"X-Pinwheel-Signature"}, extra=pair if first else pair[::-1])

    assert [200 if first else 401] == await target.send(raw)


@pytest.mark.parametrize("name", ["Pinwheel-Version", "Traceparent", "X-Pinwheel-Webhook-Id", "Host", "Content-Type"])
@pytest.mark.parametrize("value", ["", "é" * 500, "x" * 5000, "[", "a:b:c", "\t", "text/html; charset=none"], ids=ascii)
async def test_other_headers(target, name, value):
    """Odd values of other headers do not keep an authentic delivery out."""
    assert [200] == await target.send(target.request(headers={name: value}))
    assert [] == await target.unharmed()
