"""Administration of an inbox: whose it is, what a check finds, who reads it; the same wherever it is stored."""

import os
import sys

from attrs import evolve, frozen

from pinwheel_async._core.converter import Serializable
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._inbox.base import DeliveryFilter, Inbox


@frozen(kw_only=True)
class InboxCheck(Serializable):
    """What a check of an inbox has found."""

    deliveries: int
    bodies: int
    """Bodies that are stored; each was decrypted if it was encrypted."""
    problems: tuple[str, ...]
    """What is wrong, in words without values; empty if all is well."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.problems


@frozen(kw_only=True)
class KeyRotation(Serializable):
    """What a rotation of the key has done."""

    encrypted: int
    """Bodies and saved values that were encrypted with the new key."""
    left: int
    """Those that were not: damaged, or stored meanwhile by a process that knows only the old key. While there are any,
    the old key is still needed."""


async def replayed(inbox: Inbox, chosen: DeliveryFilter, *, max_waiting: int | None) -> DeliveryFilter:
    """Return a filter of what a replay changes of what another one selects: deliveries that have ended, with bodies.

    Raises:
        ConfigurationError: The filter asks for deliveries that have not ended.
        InboxError: More than *max_waiting* would wait.
    """
    if set(chosen.states) - {"done", "dead"}:
        raise ConfigurationError("only deliveries that are done or dead can be replayed: choose these states")
    ended = evolve(chosen, states=chosen.states or ("done", "dead"), with_body=True)
    if max_waiting is not None:
        waiting = (await inbox.counts()).waiting + (await inbox.preview(ended)).deliveries
        if waiting > max_waiting:  # deliveries that come meanwhile would be refused
            raise InboxError("too many deliveries would wait: replay fewer at a time", reason="MaxWaiting")
    return ended


def system_user() -> str:
    """Return the name of the user that this process runs as, and of the one who became it by sudo."""
    try:
        import pwd  # noqa: PLC0415  # not on Windows

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # in a container, the number of a user often has no name
        name = os.environ.get("USERNAME", "unknown") if sys.platform == "win32" else f"uid {os.getuid()}"
    sudo_user = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo_user})" if sudo_user else name


class Attachment:
    """Who an inbox belongs to while it is received into: one router, in however many receivers."""

    def __init__(self) -> None:
        self._router: object = None

    def attach(self, router: object) -> None:
        """Let the deliveries go to this router.

        Raises:
            ConfigurationError: They go to another one, whose deliveries this one would take and mark as handled.
        """
        if self._router is not None and self._router is not router:
            raise ConfigurationError(
                "the inbox is in use by a receiver with another router: give each router an inbox of its own"
            )
        self._router = router

    def detach(self, router: object) -> None:
        """Let the deliveries go to any other."""
        if self._router is router:
            self._router = None
