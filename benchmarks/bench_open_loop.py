"""Benchmark of the receiver with its inbox in open loop: deliveries come at a rate, whether or not it keeps up.

256 connections bring so many signed deliveries of 500 accounts a second, for `SECONDS`; the server has one core, the
load another. An answer takes as long as from the moment at which the delivery was to be sent, so a server that stands
still is charged for what it holds up; a handler is late by the time from that moment to the one at which it begins.
`handled in time` is the share that was handled until the last delivery was to be sent, and 50 ms later.

Handlers do nothing, wait 2 ms, or compute for 0.3 ms. Rates go beyond what can be handled.

    pip install '.[bench]' && python -m benchmarks load

`python benchmarks/bench_open_loop.py ROOT OTHER` compares checkouts: each takes its turns beside the others, in every
round.
"""

import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from _bench import show
from _receivers import HANDLED, signed

CONNECTIONS = 256
SECONDS = 1.5
ROUNDS = 3
LOADS = (
    ("does nothing", 2_000),
    ("does nothing", 4_000),
    ("does nothing", 6_000),
    ("does nothing", 16_000),
    ("waits 2 ms", 3_000),
    ("computes 0.3 ms", 1_000),
    ("computes 0.3 ms", 6_000),
)
GRACE_S = 0.05


class Server:
    """A server process of one checkout."""

    def __init__(self, root: str, handler: str, stack: ExitStack, core: int) -> None:
        directory = stack.enter_context(TemporaryDirectory())
        name = f"pinwheel_async, SQLite inbox, handler {handler}"
        command = [sys.executable, str(Path(__file__).with_name("_receivers.py")), name, str(core), directory]
        environment = os.environ | {"PYTHONPATH": root}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd="/"
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.pid = process.pid
        self.port = int(process.stdout.readline())

    def handled(self) -> dict[str, float]:
        """Return when each event was handled, of those since the last call."""
        with urlopen(f"http://127.0.0.1:{self.port}{HANDLED}", timeout=60) as answer:
            return dict(json.load(answer))

    def turn(self, rate: int, seconds: float) -> dict[str, float]:
        """Send at a rate; return what came of it."""
        count = int(rate * seconds)
        deliveries = [signed("ours") for _ in range(count)]
        ids = [delivery[delivery.index(b'"event_id": "') + 13 :][:36].decode() for delivery in deliveries]
        began_cpu = self._cpu_s()
        began, answers, statuses = self._send(deliveries, rate)
        ended = began + seconds
        handled = self.handled()
        while len(handled) < statuses.get(b"200", 0) and time.monotonic() < ended + 60:
            time.sleep(0.02)
            handled |= self.handled()
        delays = sorted(
            handled[event_id] - began - index / rate for index, event_id in enumerate(ids) if event_id in handled
        )
        answers.sort()
        last = max(handled.values(), default=began) - began
        return {
            "answer p50 ms": answers[len(answers) // 2] * 1e3,
            "answer p99 ms": answers[len(answers) * 99 // 100] * 1e3,
            "handler p50 ms": delays[len(delays) // 2] * 1e3,
            "handler p99 ms": delays[len(delays) * 99 // 100] * 1e3,
            "handled in time %": 100 * sum(at <= ended + GRACE_S for at in handled.values()) / count,
            "handled/s": len(handled) / last,
            "refused": count - statuses.get(b"200", 0),
            "CPU µs": (self._cpu_s() - began_cpu) / count * 1e6,
        }

    def _cpu_s(self) -> float:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def _send(self, deliveries: list[bytes], rate: int) -> tuple[float, list[float], dict[bytes, int]]:
        poller, sockets = select.epoll(), {}
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets[connection.fileno()] = connection
            poller.register(connection, select.EPOLLIN)
        free, due_at = deque(sockets), dict.fromkeys(sockets, 0.0)
        answers: list[float] = []
        statuses: dict[bytes, int] = {}
        began, sent = time.monotonic(), 0
        while len(answers) < len(deliveries):
            now = time.monotonic()
            due = min(len(deliveries), int((now - began) * rate) + 1)
            while free and sent < due:
                number = free.popleft()
                due_at[number] = began + sent / rate
                sockets[number].send(deliveries[sent])
                sent += 1
            for number, _ in poller.poll(0):
                answer = sockets[number].recv(65536)
                answers.append(time.monotonic() - due_at[number])
                statuses[answer[9:12]] = statuses.get(answer[9:12], 0) + 1
                free.append(number)
        for connection in sockets.values():
            connection.close()
        poller.close()
        return began, answers, statuses


def _measure(handler: str, rate: int, roots: list[str], cores: list[int]) -> dict[str, dict[str, float]]:
    """Return the medians of each checkout under one load."""
    found: dict[str, list[dict[str, float]]] = {root: [] for root in roots}
    rng = Random(0)
    with ExitStack() as stack:
        servers = [(root, Server(root, handler, stack, cores[0])) for root in roots]
        os.sched_setaffinity(0, cores[-1:])
        for _, server in servers:
            server.turn(500, 0.5)
        for _ in range(ROUNDS):
            rng.shuffle(servers)
            for root, server in servers:
                found[root].append(server.turn(rate, SECONDS))
        os.sched_setaffinity(0, cores)
    return {
        root: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]} for root, turns in found.items()
    }


def main() -> None:
    """Run the rounds and print medians."""
    cores = sorted(os.sched_getaffinity(0))
    roots = sys.argv[1:] or [str(Path(__file__).parent.parent)]
    medians = {
        f"{handler}, {rate:,}/s" + (f", {root}" if len(roots) > 1 else ""): figures
        for handler, rate in LOADS
        for root, figures in _measure(handler, rate, roots, cores).items()
    }
    heads = ("handler, offered", *next(iter(medians.values())))
    rows = [(name, *figures.values()) for name, figures in medians.items()]
    show("Receiver in open loop", heads, rows, {"title": "Receiver in open loop", **medians})


if __name__ == "__main__":
    main()
