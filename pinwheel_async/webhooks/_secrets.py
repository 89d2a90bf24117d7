"""Source of the API secrets of a receiver: given once, or asked for again while it runs."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeAlias

from pinwheel_async._clock import time_limit
from pinwheel_async._core.signature import KeyRing
from pinwheel_async._privacy import Unpicklable
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c

_log = logging.getLogger("pinwheel_async.webhooks")

GivenSecrets: TypeAlias = Sequence[str] | Mapping[str, str] | KeyRing
"""API secrets: a list, a mapping from names of your own to secrets, or a `KeyRing`."""

SecretFunction: TypeAlias = Callable[[], GivenSecrets | Awaitable[GivenSecrets]]
"""Function that returns the secrets that are good now; may be asynchronous."""

ASK_EVERY_S = 60.0
"""Seconds after which a function is asked again, so that a secret that it leaves out is soon good no more."""

ASK_AGAIN_S = 5.0
"""Seconds between two askings, at least, because of signatures that are wrong: anybody can send these."""

ASK_TIMEOUT_S = 5.0
"""Seconds that a function may take; the sender of a delivery waits for 15."""


class SecretSource(Unpicklable):
    """The secrets that are good now."""

    def __init__(self, secrets: GivenSecrets | SecretFunction) -> None:
        """Take the secrets, or the function to ask.

        Raises:
            ConfigurationError: There is no secret, or one cannot be an API secret.
        """
        self._function: SecretFunction | None = None
        self._ring: KeyRing | None = None
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = 0.0
        self.asked: int = 0
        """How often the function was asked."""
        if callable(secrets):
            self._function = secrets
        else:
            self._ring = _as_ring(secrets)

    @property
    def ring(self) -> KeyRing:
        """The secrets; a function that was not asked for a minute is asked again meanwhile."""
        if self._function is not None and monotonic() - self._asked_at >= ASK_EVERY_S:
            self._ask()
        if self._ring is None:  # pragma: no cover  # `open` comes first
            raise ConfigurationError("the secrets were not asked for yet")
        return self._ring

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the secrets that are good now."""
        return () if self._ring is None else self._ring.names

    async def open(self) -> None:
        """Ask for the secrets, if they are to be asked for.

        Raises:
            ConfigurationError: The function fails, or returns nothing that can be secrets.
        """
        if self._function is not None and not await self._ask() and self._ring is None:
            raise ConfigurationError("the function for secrets gave none: see the log")

    async def renew(self, asked: int, limit_s: float) -> bool:
        """Ask again because no secret fits, which may be a new one; return whether the secrets are sure to be all.

        They are not where the function was asked before the delivery came, as a new secret may be there since; where it
        fails; and where it takes too long.

        Args:
            asked: How often it had been asked when the delivery came.
            limit_s: Seconds to wait for it.
        """
        if self._function is None:
            return True
        if self._asking is None and monotonic() - self._asked_at >= ASK_AGAIN_S:
            self._ask()
        asking, is_later = self._asking, self.asked > asked
        if asking is None:
            return False
        await asyncio.wait({asking}, timeout=limit_s)  # which does not cancel it: others wait for it, too
        return is_later and asking.done() and not asking.cancelled() and asking.result()

    async def close(self) -> None:
        """End an asking that is under way."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.wait({asking})

    def _ask(self) -> "asyncio.Task[bool]":
        if self._asking is None:
            self.asked += 1
            self._asked_at = monotonic()
            self._asking = asyncio.create_task(self._ask_function(), name="pinwheel secrets")
            self._asking.add_done_callback(self._forget)
        return self._asking

    def _forget(self, asking: "asyncio.Task[bool]") -> None:
        if self._asking is asking:
            self._asking = None

    async def _ask_function(self) -> bool:
        """Ask; keep what was good before if that fails. Nothing of what fails is logged but its kind."""
        try:
            async with time_limit(ASK_TIMEOUT_S):
                given: Any = self._function() if self._function is not None else None
                self._ring = _as_ring(await given if inspect.isawaitable(given) else given)
        except ConfigurationError as error:
            _log.error("the function for secrets returned none that can be used: %s", error)  # it shows no secret
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it raises, the secrets of before may still be good
            if is_ctrl_c(error):
                raise
            _log.error("the function for secrets failed: %s", type(error).__name__)
        else:
            return True
        return False


def _as_ring(secrets: Any) -> KeyRing:
    return secrets if isinstance(secrets, KeyRing) else KeyRing(secrets)
