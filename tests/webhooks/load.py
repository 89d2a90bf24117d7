"""Load for servers that are killed: a sender that goes on until every delivery is answered 200."""

import asyncio
import json
from collections import Counter
from contextlib import suppress

import aiohttp

from pinwheel_async.webhooks import sign

SECRET = "a-secret-of-tests"
STAMP = "1773760000"


class Load:
    """The sender: each account's deliveries one after another, again after anything but 200; some of them twice."""

    def __init__(self, port, rng, *, accounts, each, senders=1):
        """*port* returns the one to send to, when there is one; each account has so many senders at once."""
        self.port, self.rng = port, rng
        self.accounts, self.each, self.senders = accounts, each, senders
        self.answered = Counter()

    async def run(self):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(15)) as session, asyncio.TaskGroup() as group:
            for account in range(self.accounts):
                for sender in range(self.senders):
                    group.create_task(self._account(session, account, sender * self.each))

    async def _account(self, session, account, first):
        for number in range(first, first + self.each):
            await self._deliver(session, account, number)
            if self.rng.random() < 0.1:
                await self._deliver(session, account, self.rng.randrange(number + 1))

    async def _deliver(self, session, account, number):
        event_id = f"{account}-{number}"
        payload = {"account_id": str(account), "number": number}
        body = json.dumps({"event_id": event_id, "event": "moon.risen", "payload": payload}).encode()
        headers = {"x-pinwheel-signature": sign(SECRET, STAMP, body), "x-timestamp": STAMP}
        status = None
        while status != 200:
            if status == 503:
                await asyncio.sleep(0.02)
            port = await self.port()
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.post(f"http://127.0.0.1:{port}/hooks", data=body, headers=headers) as answer:
                    status = answer.status
        self.answered[event_id] += 1

    async def reached(self, count):
        """Wait until so many were answered."""
        async with asyncio.timeout(150):
            while self.answered.total() < count:
                await asyncio.sleep(0.001)
