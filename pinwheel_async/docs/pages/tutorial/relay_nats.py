"""Relay to NATS JetStream: hands every event on, those of an account in their order, each stored once."""

import asyncio
import json
import os
from urllib.parse import quote

import nats
from nats.js import JetStreamContext

from pinwheel_async.events import Event
from pinwheel_async.webhooks import Context, PostgresInbox, Router, work

STREAM = "PINWHEEL"


async def open_stream(jetstream: JetStreamContext) -> None:
    """Make the stream, or leave it as it is; a message id is known for an hour, so that a repetition is not stored."""
    await jetstream.add_stream(name=STREAM, subjects=["pinwheel.>"], duplicate_window=3600)


def make_router(jetstream: JetStreamContext) -> Router:
    """Return a router whose one handler publishes whatever comes."""
    router = Router()

    @router.on(Event)
    async def publish(event: Event, context: Context) -> None:
        """Publish ids, never payroll data, and return when the stream has stored them."""
        account_id: str | None = getattr(event, "account_id", None)
        message = {"event_id": context.event_id, "event": event.event, "account_id": account_id}
        await jetstream.publish(
            f"pinwheel.{quote(account_id or 'none', safe='')}",  # an id is no pattern, whatever stands in it
            json.dumps(message).encode(),
            timeout=10,
            headers={"Nats-Msg-Id": context.event_id},
        )

    return router


async def main() -> None:
    """Work on the inbox until SIGTERM."""
    connection = await nats.connect(os.environ["NATS_URL"])
    jetstream = connection.jetstream()
    await open_stream(jetstream)
    try:
        await work(make_router(jetstream), inbox=PostgresInbox(os.environ["INBOX_URL"]))
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
