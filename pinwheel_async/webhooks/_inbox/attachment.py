"""Attachment of an inbox to the router whose handlers empty it, so that no other one does."""

from pinwheel_async.errors import ConfigurationError


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
