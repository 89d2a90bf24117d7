"""Handler that ends its process, each time that it runs: the receiver gets over it."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime

from pinwheel_async.webhooks import Delivery, DeliveryFilter, SqliteInbox
from pinwheel_async.webhooks._worker.worker import MAX_INTERRUPTIONS, SUSPECT_AFTER

PROCESS = """
import asyncio, os, sys
from pinwheel_async.events import UnknownEvent
from pinwheel_async.webhooks import DeliveryFilter, Receiver, Router, SqliteInbox

inbox, router = SqliteInbox(sys.argv[1]), Router()

@router.on(UnknownEvent)
async def handle(event: UnknownEvent) -> None:
    print("start", event.event_id, flush=True)
    if event.event_id == "poison":
        os._exit(9)
    await asyncio.sleep(0.01)
    print("end", event.event_id, flush=True)

async def main():
    receiver = Receiver(router, ["a-secret-of-tests"], inbox=inbox)
    await receiver.start()
    while (counts := await inbox.counts()).waiting or counts.claimed:
        await asyncio.sleep(0.01)
    await receiver.stop()

asyncio.run(main())
"""


async def test_a_handler_that_ends_the_process(tmp_path):
    """After a few ends the delivery is dead, the last ones with nothing beside it; all others are handled."""
    inbox = SqliteInbox(tmp_path / "inbox.db")
    await inbox.open()
    for event_id in ["a", "poison", *"bcdef"]:
        body = f'{{"event_id": "{event_id}", "event": "moon.risen", "payload": {{}}}}'.encode()
        await inbox.put(
            Delivery(
                event_id=event_id,
                event="moon.risen",
                ordering_key=event_id,
                received_at=datetime.now(UTC),
                key="k",
                body=body,
            )
        )
    await inbox.close()
    codes, outputs = [], []
    while 0 not in codes and len(codes) < 20:
        command = [sys.executable, "-c", PROCESS, str(tmp_path / "inbox.db")]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        output, _ = await process.communicate()
        codes.append(process.returncode)
        outputs.append(output.decode().splitlines())
    await inbox.open()
    counts = await inbox.counts()
    (dead,) = await inbox.entries(DeliveryFilter(states="dead"))
    await inbox.close()
    lines = [line for output in outputs for line in output]
    alone = outputs[SUSPECT_AFTER:MAX_INTERRUPTIONS]

    assert [9] * MAX_INTERRUPTIONS + [0] == codes
    assert (6, f"the process ended {MAX_INTERRUPTIONS} times while it ran") == (counts.done, dead.reason)
    assert [1] * 6 == [lines.count(f"end {event_id}") for event_id in "abcdef"]
    assert all(output.count("start poison") == 1 for output in alone)
    assert all(len(output) % 2 == 1 and output[-1] == "start poison" for output in alone)  # whatever began has ended
