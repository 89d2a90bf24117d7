"""HTTP server of canned answers: a bare asyncio protocol in a process of its own, so that it is never the bottleneck.

It speaks as much HTTP/1.1 as the clients here need: keep-alive, GET without body, pipelining. It answers by target what
it was given, or else the same for every account, with the page of paystubs in two halves, so that clients have to
follow a cursor.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from _bench import page, paystubs, shifts

from pinwheel_async._core.converter import encode
from pinwheel_async._core.model import Model
from pinwheel_async.models import Account, DirectDepositAllocations, Employment, Identity, Income
from pinwheel_async.testing import make

CURSOR = "b3BhcXVl"
PRODUCTS = ("identity", "income", "employment", "direct_deposit_allocations", "paystubs")
"""What is read of an account, in six requests."""

REQUESTS = len(PRODUCTS) + 1


@contextmanager
def static_server(accounts: int = 0) -> Iterator[str]:
    """Start the server on another core than this process, which keeps the first one; yield its base URL."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    command = [sys.executable, str(Path(__file__)), str(cores[-1]), str(accounts)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait()
        os.sched_setaffinity(0, cores)


def _whole(bodies: Mapping[str, bytes]) -> dict[bytes, bytes]:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return {name.encode(): head.format(len(body)).encode() + body for name, body in bodies.items()}


def _same_for_all() -> dict[bytes, bytes]:
    """Return the answers by the end of the target."""
    made = paystubs(20)
    bodies = {
        "identity": _object(Identity),
        "income": _object(Income),
        "employment": _object(Employment),
        "direct_deposit_allocations": _object(DirectDepositAllocations),
        "shifts": page(shifts(10)),
        "paystubs": page(made[:10], CURSOR),
        f"cursor={CURSOR}": page(made[10:]),
    }
    return _whole(bodies)


def _lists(accounts: int) -> dict[bytes, bytes]:
    """Return the list of the accounts by the cursor of each page, which is the number of its first account."""
    account = json.loads(encode(make(Account), nulls=True))
    account["data_updated_at"] = dict.fromkeys(account["data_updated_at"] or {}, "2026-03-17T15:05:02.118402+00:00")
    ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(accounts)]
    bodies: dict[str, bytes] = {}
    for first in range(0, accounts, 100):
        items = [account | {"id": account_id} for account_id in ids[first : first + 100]]
        bodies[str(first)] = page(items, str(first + 100) if first + 100 < accounts else None)
    return _whole(bodies)


def _object(kind: type[Model]) -> bytes:
    meta = b'"meta":{"refreshed_at":"2026-03-17T15:05:02.118402+00:00"}'
    return b'{"data":%s,%s}' % (encode(make(kind), nulls=True), meta)


class _Server(asyncio.Protocol):
    lists: Mapping[bytes, bytes] = {}
    by_end = _same_for_all()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1]
            path, _, query = target.partition(b"?")
            if path.endswith(b"/accounts"):
                answer = self.lists[query.partition(b"cursor=")[2] or b"0"]
            else:
                answer = self.by_end[_end(target)]
            self.transport.write(answer)  # type: ignore[attr-defined]


def _end(target: bytes) -> bytes:
    return b"cursor=" + CURSOR.encode() if b"cursor=" in target else target.partition(b"?")[0].rpartition(b"/")[2]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    _Server.lists = _lists(int(sys.argv[2]))
    server = await loop.create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent holds the other end of stdin: when it is gone, so are we.
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(_serve())
