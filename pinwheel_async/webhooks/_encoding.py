"""Content encodings of a delivery: bodies that something between sender and receiver has compressed."""

import zlib
from codecs import BOM_UTF8
from collections.abc import Callable

from pinwheel_async._core.signature import Verdict
from pinwheel_async.webhooks._refusals import RefusalReason

_AUTOMATIC = 32 + zlib.MAX_WBITS
"""Tells zlib to know gzip and zlib by their first bytes."""

_NONE = {"", "identity"}
_ZLIB = {"gzip", "x-gzip", "deflate"}


def decode_verified(
    encoding: str, body: bytes, verdict: Verdict, verify: Callable[[bytes], Verdict], *, max_bytes: int
) -> tuple[Verdict, bytes] | RefusalReason:
    """Return the plain body and the verdict on it, whether it was signed before or after it was compressed.

    What may be authentic, but cannot be known to be, is a reason for a refusal after which the sender repeats.

    Args:
        encoding: The `content-encoding` header.
        body: The body as it came, or as the server has inflated it.
        verdict: The verdict on these bytes.
        verify: Returns the verdict on other bytes.
        max_bytes: Longest plain body.
    """
    encoding = encoding.strip().lower()
    is_signed = verdict.reason != "wrong"
    if encoding in _NONE:
        return verdict, body
    if _is_plain(body):
        # What the server has inflated may have been signed as it came, and those bytes are gone.
        return (verdict, body) if is_signed else "encoding_unreadable"
    if encoding not in _ZLIB:
        return "encoding_unreadable"
    plain = inflate(body, max_bytes)
    if plain is None:
        return "encoding_unreadable" if is_signed else (verdict, body)
    if len(plain) > max_bytes:
        return "body_too_large"
    return (verdict if is_signed else verify(plain)), plain


def _is_plain(body: bytes) -> bool:
    """Whether a body is not compressed, or not any more.

    An event is a JSON object, and no stream of gzip, zlib, zstd or Brotli begins with a brace: for Brotli that would be
    a last, empty block with padding that is not zero.
    """
    return body[:64].removeprefix(BOM_UTF8).lstrip().startswith(b"{")


def inflate(body: bytes, max_bytes: int) -> bytes | None:
    """Return what gzip or deflate has compressed; null if it cannot be read.

    Of what is longer than *max_bytes* one byte more than that is returned, so that no bomb takes more memory.
    """
    for bits in (_AUTOMATIC, -zlib.MAX_WBITS):  # some send deflate without its header
        inflated = _inflate(body, bits, max_bytes)
        if inflated is not None:
            return inflated
    return None


def _inflate(body: bytes, bits: int, max_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    left = max_bytes + 1
    try:
        while body and left:  # gzip may have several members, one after another
            stream = zlib.decompressobj(bits)
            parts.append(stream.decompress(body, left))
            left -= len(parts[-1])
            if left and not stream.eof:
                return None
            body = stream.unused_data
    except zlib.error:
        return None
    return b"".join(parts)
