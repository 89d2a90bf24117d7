"""Links to the fake's files: signed for a quarter of an hour, new in each answer."""

import hmac
import os
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from urllib.parse import parse_qs

from pinwheel_async.testing._pay import LINK_MARK
from pinwheel_async.testing._people import stamp

LIFETIME = timedelta(seconds=900)
FILES = "/documents/"
"""What the path of every file begins with."""

PDF = b"%PDF-1.4\n% A fictional document.\n%%EOF\n"

_MARK = LINK_MARK.encode()


class Links:
    """Completes the links in encoded records, and knows its own links again."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.encode()
        self._key = os.urandom(16)

    def complete(self, body: bytes, now: datetime) -> bytes:
        """Put links that are good for 900 seconds where *body* has the marks for them."""
        pieces = body.split(_MARK)
        if len(pieces) == 1:
            return body
        until = now.astimezone(UTC) + LIFETIME
        moment = str(int(until.timestamp()))
        nonce = os.urandom(8).hex()
        query = f"expires={moment}&nonce={nonce}&signature={self._sign(moment, nonce)}"
        links = [self._base_url, query.encode(), stamp(until).encode()] * (len(pieces) // 3)
        return b"".join([part for pair in zip(pieces, links, strict=False) for part in pair] + pieces[-1:])

    def is_valid(self, query: str, now: datetime) -> bool:
        """Return whether the query of a link is from here and has not expired."""
        found = parse_qs(query)
        moment, nonce, signature = (found.get(name, [""])[0] for name in ("expires", "nonce", "signature"))
        if not hmac.compare_digest(signature.encode(), self._sign(moment, nonce).encode()):
            return False
        return now.timestamp() < int(moment)

    def _sign(self, moment: str, nonce: str) -> str:
        return blake2b(f"{moment} {nonce}".encode(), key=self._key, digest_size=16).hexdigest()
