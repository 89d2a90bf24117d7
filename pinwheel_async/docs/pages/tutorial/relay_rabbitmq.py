"""Relay to RabbitMQ: hands every event on, those of an account through one queue, in their order."""

import asyncio
import json
import os
import zlib

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractRobustConnection

from pinwheel_async.events import Event
from pinwheel_async.webhooks import Context, PostgresInbox, Router, work

QUEUES = 8
"""How many consumers can work at the same time; to change it, let the queues run empty first."""


async def open_exchange(connection: AbstractRobustConnection) -> AbstractExchange:
    """Declare the exchange and its queues; one consumer at a time gets the messages of a queue, so order stays."""
    channel: AbstractChannel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    exchange = await channel.declare_exchange("pinwheel", durable=True)
    for number in range(QUEUES):
        queue = await channel.declare_queue(
            f"pinwheel.{number}",
            durable=True,
            arguments={"x-queue-type": "quorum", "x-single-active-consumer": True},
        )
        await queue.bind(exchange, routing_key=str(number))
    return exchange


def make_router(exchange: AbstractExchange) -> Router:
    """Return a router whose one handler publishes whatever comes."""
    router = Router()

    @router.on(Event)
    async def publish(event: Event, context: Context) -> None:
        """Publish ids, never payroll data, and return when the broker has stored them."""
        account_id: str | None = getattr(event, "account_id", None)
        message = {"event_id": context.event_id, "event": event.event, "account_id": account_id}
        number = zlib.crc32((account_id or "").encode()) % QUEUES
        await exchange.publish(
            aio_pika.Message(
                json.dumps(message).encode(),
                message_id=context.event_id,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            ),
            routing_key=str(number),
            timeout=10,
        )

    return router


async def main() -> None:
    """Work on the inbox until SIGTERM."""
    async with await aio_pika.connect_robust(os.environ["AMQP_URL"]) as connection:
        exchange = await open_exchange(connection)
        await work(make_router(exchange), inbox=PostgresInbox(os.environ["INBOX_URL"]))


if __name__ == "__main__":
    asyncio.run(main())
