"""A server that is never the bottleneck: canned answers from a bare asyncio protocol, in a process of its own.

It speaks as much HTTP/1.1 as the clients here need: keep-alive, GET without body, pipelining. It gives what it is told
to, by target, and else the same answer for every account, the page of paystubs in two halves, so that clients have to
follow a cursor.
"""

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from _bench import page, paystubs

from pinwheel_async._core.convert import encode
from pinwheel_async._core.fields import Model
from pinwheel_async.models import DirectDepositAllocations, Employment, Identity, Income
from pinwheel_async.testing import make

CURSOR = "b3BhcXVl"
PRODUCTS = ("identity", "income", "employment", "direct_deposit_allocations", "paystubs")
"""What is read of an account, in six requests."""

REQUESTS = len(PRODUCTS) + 1


@contextmanager
def static_server(answers: Mapping[str, bytes] | None = None) -> Iterator[str]:
    """Start the server on another core than this process, which keeps the first one; yield its base URL."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    command = [sys.executable, str(Path(__file__)), str(cores[-1])]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        pickle.dump(answers or {}, server.stdin)
        server.stdin.flush()
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
        "paystubs": page(made[:10], CURSOR),
        f"cursor={CURSOR}": page(made[10:]),
    }
    return _whole(bodies)


def _object(kind: type[Model]) -> bytes:
    meta = b'"meta":{"refreshed_at":"2026-03-17T15:05:02.118402+00:00"}'
    return b'{"data":%s,%s}' % (encode(make(kind), nulls=True), meta)


class _Server(asyncio.Protocol):
    by_target: Mapping[bytes, bytes] = {}
    by_end = _same_for_all()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for request in requests:
            target = request.split(b" ", 2)[1]
            self.transport.write(self.by_target.get(target) or self.by_end[_end(target)])  # type: ignore[attr-defined]


def _end(target: bytes) -> bytes:
    return b"cursor=" + CURSOR.encode() if b"cursor=" in target else target.partition(b"?")[0].rpartition(b"/")[2]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    _Server.by_target = _whole(pickle.load(sys.stdin.buffer))  # from our own parent
    server = await loop.create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent holds the other end of stdin: when it is gone, so are we.
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    asyncio.run(_serve())
