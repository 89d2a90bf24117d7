"""Events for a mirror, as a worker would hand them to its handlers."""

from datetime import UTC, datetime

from pinwheel_async.events import Event
from pinwheel_async.sync import Mirror
from pinwheel_async.webhooks import Context


async def handle_event(
    mirror: Mirror, event: Event, *, received_at: datetime | None = None, attempt: int = 1, event_id: str | None = None
) -> None:
    """Let a mirror handle an event, received now unless it is said when."""
    context = Context(
        event_id=event_id or event.event_id,
        attempt=attempt,
        received_at=received_at or datetime.now(UTC),
        key="secret-1",
        version=None,
        webhook_id=None,
        traceparent=None,
        app=None,
    )
    for handler in mirror.router.matching(event):
        await handler.start(event, context)
