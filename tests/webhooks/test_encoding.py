"""Content encodings: what is verified and inflated, whichever bytes were signed, and within which bounds."""

import gzip
import tracemalloc
import zlib
from codecs import BOM_UTF8

import pytest
from hypothesis import given, strategies as st

from pinwheel_async._core.signature import KeyRing, sign
from pinwheel_async.webhooks._encoding import decode_verified, inflate

PLAIN = b'{"event_id": "1", "event": "moon.risen", "payload": {}}'
RING = KeyRing(["s"])
MEBI = 1024 * 1024


def bare_deflate(body):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


COMPRESSED = {
    "gzip": gzip.compress(PLAIN),
    "X-GZIP ": gzip.compress(PLAIN),
    "deflate": zlib.compress(PLAIN),
    "Deflate": bare_deflate(PLAIN),
}


def decode(encoding, body, *, signed, max_bytes=1000):
    def verify(given):
        return RING.verify(signature=sign("s", "1", signed), timestamp="1", body=given)

    outcome = decode_verified(encoding, body, verify(body), verify, max_bytes=max_bytes)
    return outcome if isinstance(outcome, str) else (outcome[0].reason, outcome[1])


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_signed_as_it_came(encoding):
    """A body that was signed after it was compressed is verified as it came, and inflated."""
    body = COMPRESSED[encoding]

    assert ("ok", PLAIN) == decode(encoding, body, signed=body)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_signed_before_it_was_compressed(encoding):
    """A body that something on its way has compressed is verified as it was."""
    assert ("ok", PLAIN) == decode(encoding, COMPRESSED[encoding], signed=PLAIN)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_signed_neither_way(encoding):
    """Where both orders can be tried and neither is good, the body is not authentic."""
    assert "wrong" == decode(encoding, COMPRESSED[encoding], signed=b"other")[0]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "gzip, br", "identity", ""])
@pytest.mark.parametrize("body", [PLAIN, BOM_UTF8 + PLAIN, b"\n " + PLAIN], ids=["plain", "mark", "blanks"])
def test_inflated_by_the_server(encoding, body):
    """A body that the server has inflated is taken as it is, whatever its header says."""
    assert ("ok", body) == decode(encoding, body, signed=body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_inflated_by_the_server_after_it_was_signed(encoding):
    """Where the bytes that came are gone, an unknown signature may be good: the sender is to come again."""
    assert "encoding_unreadable" == decode(encoding, PLAIN, signed=b"what came")


@pytest.mark.parametrize("encoding", ["", "identity", " IDENTITY "])
def test_no_encoding(encoding):
    """Where there is no encoding, a wrong signature is wrong."""
    assert ("wrong", PLAIN) == decode(encoding, PLAIN, signed=b"other")


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "x"])
@pytest.mark.parametrize("signed", [b"\x1f\x8b..", b"other"], ids=["as it came", "otherwise"])
def test_unknown_encoding(encoding, signed):
    """What cannot be inflated here may be authentic either way: the sender is to come again."""
    assert "encoding_unreadable" == decode(encoding, b"\x1f\x8b..", signed=signed)


@pytest.mark.parametrize("broken", [gzip.compress(PLAIN)[:-9], b"\x1f\x8b", b"[]"], ids=["cut", "head", "no gzip"])
@pytest.mark.parametrize("authentic", [True, False])
def test_broken(broken, authentic):
    """What is authentic and cannot be inflated is to come again; what is not is not authentic."""
    expected = "encoding_unreadable" if authentic else ("wrong", broken)

    assert expected == decode("gzip", broken, signed=broken if authentic else b"other")


@pytest.mark.parametrize("signed", [True, False])
def test_too_large(signed):
    """What inflates to more than the limit may be authentic: it is refused for its size."""
    body = gzip.compress(b" " * 1001)

    assert "body_too_large" == decode("gzip", body, signed=body if signed else b"other")


@pytest.mark.parametrize("signed", [True, False])
def test_the_limit_is_inclusive(signed):
    """What inflates to exactly the limit is taken."""
    plain = b" " * 1000
    body = gzip.compress(plain)

    assert ("ok", plain) == decode("gzip", body, signed=body if signed else plain)


def test_bomb():
    """A body that inflates to a thousand times its size takes no more memory than the limit."""
    bomb = gzip.compress(b"\x00" * (256 * MEBI))
    tracemalloc.start()
    try:
        assert MEBI + 1 == len(inflate(bomb, MEBI))
        assert tracemalloc.get_traced_memory()[1] < 4 * MEBI
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 600))
def test_members(parts, max_bytes):
    """A gzip of several members is inflated to all of them, up to one byte more than the limit."""
    expected = b"".join(parts)[: max_bytes + 1]

    assert expected == inflate(b"".join(map(gzip.compress, parts)), max_bytes)


@given(st.binary(max_size=100))
def test_anything(body):
    """Whatever the body is, it is inflated or it is not, and nothing is raised."""
    assert isinstance(inflate(body, 1000), bytes | None)
