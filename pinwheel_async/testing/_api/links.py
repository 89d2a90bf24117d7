"""Links to the fake's files: they hold a random token, new in each answer, which is good for a quarter of an hour."""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe

from pinwheel_async.testing._world.pay import LINK_MARK
from pinwheel_async.testing._world.records import stamp

LIFETIME = timedelta(seconds=900)
FILES = "/documents/"
"""What the path of every file begins with."""

PDF = b"%PDF-1.4\n% A fictional document.\n%%EOF\n"

_MARK = LINK_MARK.encode()
_KEPT = 20_000
"""Tokens that are known at a time, which take some 4 MB at most. The fake's clock may stand still, so that none of them
would ever expire by its age."""


class Links:
    """Completes the links in encoded records, and remembers how long each is good."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.encode()
        self._expires_at: OrderedDict[str, datetime] = OrderedDict()

    def complete(self, body: bytes, now: datetime) -> bytes:
        """Put links that are good for 900 seconds where *body* has the marks for them."""
        pieces = body.split(_MARK)
        if len(pieces) == 1:
            return body
        expires_at = now.astimezone(UTC) + LIFETIME
        query = f"token={self._make_token(expires_at)}"
        parts = [self._base_url, query.encode(), stamp(expires_at).encode()] * (len(pieces) // 3)
        return b"".join([piece for pair in zip(pieces, parts, strict=False) for piece in pair] + pieces[-1:])

    def is_valid(self, token: str, now: datetime) -> bool:
        """Return whether a token is from here and has not expired."""
        expires_at = self._expires_at.get(token)
        return expires_at is not None and now < expires_at

    def _make_token(self, expires_at: datetime) -> str:
        token = token_urlsafe(16)
        self._expires_at[token] = expires_at
        if len(self._expires_at) > _KEPT:
            self._expires_at.popitem(last=False)
        return token
