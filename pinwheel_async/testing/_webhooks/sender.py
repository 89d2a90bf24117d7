"""HTTP client of the fake's webhooks: posts one delivery and returns the status of the answer."""

from io import BytesIO
from types import TracebackType
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from pinwheel_async.testing._webhooks.signed import SignedDelivery

_CONNECTIONS = 100  # at a time, so that a burst of events does not run out of sockets

_LARGE = 1_048_576
"""Bytes beyond which aiohttp warns of a body that it is not given as a file, because it would write it at once."""


class Sender:
    """Posts deliveries, each over a connection of its own."""

    def __init__(self) -> None:
        self._session = ClientSession(
            connector=TCPConnector(limit=_CONNECTIONS, force_close=True),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),  # the outbox times out by the fake's clock
        )

    async def post(self, url: str, delivery: SignedDelivery) -> int | None:
        """Return the status of the answer; None if there was none. Redirects are not followed."""
        body = delivery.body
        try:
            async with self._session.post(
                url,
                data=body if len(body) <= _LARGE else BytesIO(body),
                headers=delivery.headers,
                allow_redirects=False,
            ) as response:
                return response.status
        except (ClientError, OSError, ValueError):  # the last one for a URL that nothing can be sent to
            return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
