"""Privacy in Sentry as it is by default: its events, with their frames and their breadcrumbs of requests and logs."""

import json
import re
import subprocess
import sys

import pytest

# Sentry changes aiohttp and logging for good, so it is started in a process of its own. What it says of the user's own
# lines and variables is not ours: these stand in __main__.
PROGRAM = r"""
import asyncio, json, logging
import sentry_sdk
from sentry_sdk.transport import Transport
from pinwheel_async import Pinwheel, PinwheelError, RetryPolicy

events, arrived = [], []

class Kept(Transport):
    def capture_envelope(self, envelope):
        events.extend(item.payload.json for item in envelope.items)

sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Kept, traces_sample_rate={rate})
logging.getLogger().setLevel(logging.DEBUG)

ERROR = {{"type": "planted", "code": "planted", "message": "planted", "fields": [{{"name": "planted"}}]}}
BODY = json.dumps({{"error": ERROR}}).encode()

async def answer(reader, writer):
    arrived.append(await reader.readuntil(b"\r\n\r\n"))
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY)
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    base_url = f"http://127.0.0.1:{{port}}"
    async with Pinwheel("planted-secret", base_url=base_url, retry=RetryPolicy(attempts=1)) as pinwheel:
        calls = [
            lambda: pinwheel.paystubs.list("planted", cursor="planted"),
            lambda: pinwheel.employers.lookup("471147110"),
            lambda: pinwheel.accounts.list_for_end_user("planted").all(),
            lambda: pinwheel.admin.list_api_keys("planted", limit=0),
            lambda: pinwheel.link_tokens.create(org_name="planted", solution="Verify", no_such="planted"),
        ]
        for call in calls:
            with sentry_sdk.start_transaction(name="work"):
                try:
                    await call()
                except Exception as error:
                    sentry_sdk.capture_exception(error)
    server.close()

asyncio.run(main())
for event in events:
    for value in event.get("exception", {{}}).get("values", ()):
        frames = value["stacktrace"]["frames"]
        value["stacktrace"]["frames"] = [frame for frame in frames if frame["module"] != "__main__"]
print(json.dumps([events, [head.decode() for head in arrived]], default=str))
"""


@pytest.mark.parametrize("rate", ["None", "1.0"], ids=["errors", "traces"])
def test_events(rate):
    """No event, breadcrumb or span holds anything planted; requests carry none of Sentry's headers."""
    command = [sys.executable, "-c", PROGRAM.format(rate=rate)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    events, arrived = json.loads(done.stdout)

    titles = [value["value"] for event in events for value in event.get("exception", {}).get("values", ())]
    assert len(titles) == 5
    assert titles[0] == "GET /v1/accounts/{account_id}/paystubs answered 400"
    found = re.search(r".{0,200}(planted|47114711).{0,50}", json.dumps(events))
    assert found is None, found[0]
    assert len(arrived) == 3
    assert not [head for head in arrived if "sentry" in head.lower()]
