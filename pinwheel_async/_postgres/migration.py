"""Migration of tables in PostgreSQL: it waits for locks no longer than others can wait behind it, and tries again."""

from collections.abc import Awaitable, Callable

from pinwheel_async._clock import Clock
from pinwheel_async._postgres.driver import driver

MIGRATION_WAIT_S = 2
"""Seconds for which a migration waits for a lock at once: everybody who needs the table waits behind it."""

_MIGRATION_S = 60.0
"""Seconds for which a migration is tried again, behind transactions that have locked what it changes."""


async def while_locked(migrate: Callable[[], Awaitable[bool]], clock: Clock) -> bool:
    """Migrate, and try again while others have locked what is to be changed; return what *migrate* does.

    Raises:
        LockNotAvailableError: They had for a minute.
        DeadlockDetectedError: As above.
    """
    until = clock.monotonic() + _MIGRATION_S
    while True:
        try:
            return await migrate()
        except (driver.LockNotAvailableError, driver.DeadlockDetectedError):
            if clock.monotonic() >= until:
                raise
        await clock.sleep(MIGRATION_WAIT_S)
