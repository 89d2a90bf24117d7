"""Relays of the manual: programs that hand events on to a broker, each run as a process against the real one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import nats

from pinwheel_async import RetryPolicy
from pinwheel_async.testing import SignedDelivery, make_event, signed_delivery
from pinwheel_async.webhooks import Inbox, PostgresInbox, Receiver, Router, SqliteInbox

from .conftest import TUTORIAL

SECRET = "a-secret-of-tests"
ACCOUNTS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]
SENT = [(f"{number:02}", ACCOUNTS[number % 3]) for number in range(12)]
"""Id and account of each event, in the order in which they are sent."""
DELIVERIES = [
    signed_delivery(make_event("account.added", account_id=account_id, event_id=event_id), secret=SECRET)
    for event_id, account_id in SENT
]


async def send(receiver: Receiver, deliveries: list[SignedDelivery]) -> None:
    for delivery in deliveries:
        assert (await receiver.receive(delivery.headers, delivery.body)).status == 200


@asynccontextmanager
async def receiving(router: Router, inbox: Inbox, **settings: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(router, [SECRET], inbox=inbox, **settings)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


@asynccontextmanager
async def relaying(name: str, **variables: str) -> AsyncIterator[None]:
    """Run a program until the end of the block; SIGTERM ends it with 0."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TUTORIAL / f"{name}.py"), env={"PATH": "", "PYTHONPATH": path, **variables}
    )
    try:
        yield
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def of_account(messages: list[dict[str, str]], account_id: str) -> list[str]:
    return [message["event_id"] for message in messages if message["account_id"] == account_id]


async def test_nats(nats_server: Any, postgres: str, tmp_path: Path) -> None:
    """What a receiver stored comes out of the stream with its event id, once, in the order of its account."""
    async with nats_server(tmp_path) as url, receiving(Router(), PostgresInbox(postgres), work=False) as receiver:
        await send(receiver, DELIVERIES)
        async with relaying("relay_nats", NATS_URL=url, INBOX_URL=postgres), await nats.connect(url) as connection:
            jetstream = connection.jetstream()
            await until_there_is_a_stream(jetstream)
            consumer = await jetstream.subscribe("pinwheel.>", ordered_consumer=True)
            messages = [await consumer.next_msg(timeout=30) for _ in SENT]

    found = [json.loads(message.data) for message in messages]
    assert [of_account(found, account_id) for account_id in ACCOUNTS] == [
        [event_id for event_id, of in SENT if of == account_id] for account_id in ACCOUNTS
    ]
    assert [message.headers["Nats-Msg-Id"] for message in messages] == [message["event_id"] for message in found]
    assert {message.subject for message in messages} == {f"pinwheel.{account_id}" for account_id in ACCOUNTS}


async def until_there_is_a_stream(jetstream: Any) -> None:
    async with asyncio.timeout(60):
        while not await jetstream.streams_info():
            await asyncio.sleep(0.05)


async def test_nats_stores_each_event_once(program: Callable[[str], Any], nats_server: Any, tmp_path: Path) -> None:
    """An event that is handed on again is not stored again."""
    module = program("relay_nats")
    async with nats_server(tmp_path / "nats") as url, await nats.connect(url) as connection:
        jetstream = connection.jetstream()
        await module.open_stream(jetstream)
        await module.open_stream(jetstream)
        for name in ("first", "second"):
            router = module.make_router(jetstream)
            async with receiving(router, SqliteInbox(tmp_path / f"{name}.db")) as receiver:
                await send(receiver, DELIVERIES)
                await until_handled(receiver)
        info = await jetstream.stream_info(module.STREAM)

    assert info.state.messages == len(SENT)


async def test_nats_away(program: Callable[[str], Any], nats_server: Any, tmp_path: Path) -> None:
    """What comes while the broker is away is handed on when it is back."""
    module = program("relay_nats")
    async with nats_server(tmp_path / "nats") as url:
        connection = await nats.connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        await module.open_stream(connection.jetstream())
    router = module.make_router(connection.jetstream())
    retry = RetryPolicy(attempts=100, base_s=0.1, cap_s=0.1)
    async with receiving(router, SqliteInbox(tmp_path / "inbox.db"), retry=retry) as receiver:
        await send(receiver, DELIVERIES)
        async with nats_server(tmp_path / "nats"):
            await until_handled(receiver)
            info = await connection.jetstream().stream_info(module.STREAM)
            await connection.close()

    assert info.state.messages == len(SENT)


async def until_handled(receiver: Receiver) -> None:
    async with asyncio.timeout(60):
        while (health := await receiver.health()).waiting or health.claimed:
            await asyncio.sleep(0.05)


async def test_rabbitmq(rabbitmq: Any, postgres: str, tmp_path: Path) -> None:
    """What a receiver stored comes out of the queue of its account, in its order, to one consumer at a time."""
    received: list[list[aio_pika.abc.AbstractIncomingMessage]] = [[], []]
    async with rabbitmq(tmp_path) as url, receiving(Router(), PostgresInbox(postgres), work=False) as receiver:
        await send(receiver, DELIVERIES)
        async with (
            relaying("relay_rabbitmq", AMQP_URL=url, INBOX_URL=postgres),
            await aio_pika.connect(url) as connection,
        ):
            await until_there_are_queues(connection)
            for got in received:
                channel = await connection.channel()
                for number in range(8):
                    queue = await channel.get_queue(f"pinwheel.{number}")
                    await queue.consume(got.append, no_ack=True)
            async with asyncio.timeout(60):
                while sum(map(len, received)) < len(SENT):
                    await asyncio.sleep(0.05)

    first, second = received
    found = [json.loads(message.body) for message in first]
    assert second == []
    assert [of_account(found, account_id) for account_id in ACCOUNTS] == [
        [event_id for event_id, of in SENT if of == account_id] for account_id in ACCOUNTS
    ]
    assert [message.message_id for message in first] == [message["event_id"] for message in found]
    assert {message.delivery_mode for message in first} == {aio_pika.DeliveryMode.PERSISTENT}


async def until_there_are_queues(connection: aio_pika.abc.AbstractConnection) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with connection.channel() as channel:
                    await channel.get_queue("pinwheel.7")
            except aio_pika.exceptions.ChannelNotFoundEntity:
                await asyncio.sleep(0.05)
            else:
                return
