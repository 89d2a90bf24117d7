"""Health of a receiver: whether it can store, what waits, and what was refused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async.errors import InboxError
from pinwheel_async.webhooks._worker.trouble import Trouble

_log = logging.getLogger("pinwheel_async.webhooks")

SHARED_S = 1.0
"""Seconds for which one look serves everybody who asks. Each look writes into the inbox, with a flush to the disk."""

LOOK_S = 3.0
"""Seconds that a look may take, before the inbox counts as one that cannot store. Those who watch over a service mostly
wait for five."""

HealthProblem: TypeAlias = Literal["not_open", "cannot_store", "worker_ended", "dead_deliveries", "stuck_handlers"]
"""What is wrong: the receiver has not started, or its inbox could not be opened yet; the inbox cannot store; nothing is
claimed any more; deliveries are dead; handlers ignore their cancellation."""


HealthStatus: TypeAlias = Literal["ok", "degraded", "unavailable"]

_UNAVAILABLE: frozenset[HealthProblem] = frozenset(("not_open", "cannot_store", "worker_ended"))


@frozen(kw_only=True)
class Health(Serializable):
    """State of a receiver at one moment."""

    status: HealthStatus
    """`unavailable`: deliveries are refused, or not handled. `degraded`: they are, but somebody has to look."""
    problems: tuple[HealthProblem, ...] = ()
    waiting: int | None = None
    """Deliveries that wait to be handled; null without an inbox, or where it could not be read."""
    claimed: int | None = None
    dead: int | None = None
    """Deliveries that are given up, to be revived."""
    oldest_waiting_s: float | None = None
    """Seconds since the oldest waiting delivery arrived; null when none waits."""
    disk_free_bytes: int | None = None
    """What is left on the disk of the inbox; null where that is unknown, as it is in memory."""
    worker_alive: bool | None = None
    """Whether what is stored is being handled here; null without an inbox, or where only others handle it."""
    stuck_handlers: int = 0
    """Handlers that ignored their cancellation, and go on."""
    refused: Mapping[str, int] = field(factory=dict[str, int])
    """Deliveries that were not answered 200 since the receiver was made, by `RefusalReason`."""
    signed_by: Mapping[str, int] = field(factory=dict[str, int])
    """Authentic deliveries since the receiver was made, by the name of the secret that signed them."""


def status_of(problems: Collection[HealthProblem]) -> HealthStatus:
    """Return the status of a receiver with these problems."""
    if not problems:
        return "ok"
    return "degraded" if _UNAVAILABLE.isdisjoint(problems) else "unavailable"


class SharedLook:
    """Looks at something for all that ask: one look at a time, which serves for a second."""

    def __init__(self, look: Callable[[], Awaitable[Health]], otherwise: Callable[[], Health]) -> None:
        """Make ready.

        Args:
            look: Looks.
            otherwise: Says what is known without looking, for when that takes too long.
        """
        self._look = look
        self._otherwise = otherwise
        self._looking: asyncio.Task[Health] | None = None
        self._valid_until = 0.0
        self._trouble = Trouble()

    async def get(self) -> Health:
        """Return what was seen within the last second, or look."""
        loop = asyncio.get_running_loop()
        looking = self._looking
        if looking is None or looking.get_loop() is not loop or (looking.done() and loop.time() >= self._valid_until):
            looking = self._looking = asyncio.ensure_future(self._look_once())
        # Not `wait_for`, which would cancel the look of all others, and write again for the next.
        await asyncio.wait({looking}, timeout=LOOK_S)
        return looking.result() if looking.done() and not looking.cancelled() else self._otherwise()

    async def _look_once(self) -> Health:
        loop = asyncio.get_running_loop()
        try:
            seen = await self._look()
        except Exception as error:  # noqa: BLE001  # whatever an inbox raises, it cannot be relied on
            why = str(error) if isinstance(error, InboxError) else type(error).__name__
            if self._trouble.is_news(why, loop.time()):
                _log.error("the inbox cannot store: %s", why)
            return self._otherwise()
        else:
            self._trouble.end()
            return seen
        finally:
            self._valid_until = loop.time() + SHARED_S
