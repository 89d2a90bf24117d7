"""Clock of a store: the one by which all processes that share it say when a reading began."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from attrs import evolve

from pinwheel_async._clock import Clock

REFRESH_S = 60.0
"""Seconds after which a server is asked again: until then clocks drift apart by a few milliseconds."""


class StoreClock:
    """Clock that goes as that of a store's server, whatever the time is on this machine.

    Of two readings the newer one counts, and an event is covered by a reading that began after it arrived. Between
    machines whose clocks differ by seconds, that would be decided by the wrong one: what was announced is not read. A
    store that is a file has no server, and all that use it are on this machine.

    Attributes:
        clock: The clock, for whoever wants to know the time. That of this machine, before the first `refresh`.
    """

    def __init__(self, store: object, given: Clock | None) -> None:
        """Describe it.

        Args:
            store: May have a method `server_now`, as `SqlSink` has.
            given: Is used instead, if there is one.
        """
        self._local = given or Clock()
        self._ask: Callable[[], Awaitable[datetime | None]] | None = None
        if given is None:
            self._ask = getattr(store, "server_now", None)
        self._then: datetime | None = None
        self._at_s = 0.0
        """When it was then, in monotonic time."""
        self.clock: Clock = evolve(self._local, now=self._now)

    async def refresh(self) -> None:
        """Ask the server, unless that was just done; before the time is used to say when a reading begins.

        Raises:
            SinkError: The store cannot be used.
        """
        began_s = self._local.monotonic()
        if self._ask is None or (self._then is not None and began_s - self._at_s < REFRESH_S):
            return
        found = await self._ask()
        ended_s = self._local.monotonic()
        if found is None:
            self._ask = None
            return
        # The server answered after it was asked and before the answer was here. Of what that allows, the earliest: a
        # reading must not seem to have begun later than it did. But what was known before is better, if it is allowed,
        # and the time does not go back.
        latest = found + timedelta(seconds=ended_s - began_s)
        known = None if self._then is None else self._then + timedelta(seconds=ended_s - self._at_s)
        self._then, self._at_s = found if known is None else min(max(found, known), latest), ended_s

    def arrived(self, received_at: datetime) -> datetime:
        """Return when an event arrived, by this clock: no earlier than it did, whoever said when.

        Some receivers have the time of this machine, and others that of the database where the deliveries are. So it is
        the later one of both; it costs a reading more, where the clocks differ.
        """
        return max(received_at, received_at + (self._now() - self._local.now()))

    def _now(self) -> datetime:
        if self._then is None:
            return self._local.now()
        return self._then + timedelta(seconds=self._local.monotonic() - self._at_s)
