"""Benchmark of the receiver: webhook deliveries per second of one server process, from 64 connections.

Every contender is a server process of its own; all of them share one core and take turns, the load comes from the other
core over raw sockets. Each delivery is unique and signed, 452 bytes of an event of one of 500 accounts; each server
gets it in the scheme that it verifies. The floor is a bare aiohttp handler that reads the body and answers 200, and
verifies nothing. The others verify, decode and run one handler that does nothing: before the answer where there is no
inbox, after it where there is one. With an inbox, the handlers of what is already stored run in the same process while
deliveries come in, and a turn's answers end before its handlers do: one table counts until everything is answered, one
until everything is handled.

Targets: at least 0.5 of the floor with `SqliteInbox` at FULL, at least 0.7 without an inbox, and without one at least 2
times FastAPI with a verifier and 3 times the aiohttp receivers of aiogram and slack-bolt.

    pip install '.[bench]' && python -m benchmarks receiver
"""

import gc
import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.request import urlopen

from _bench import ratio, report
from _receivers import CONTENDERS, POSTGRES_VARIABLE, RECEIVES_ONLY, WAITING, signed
from bench_sync import ADMIN, DATABASE, has_postgres, in_postgres

CONNECTIONS = 64
ROUNDS = 15
"""Odd, so that the median is a measured round."""

SECONDS = 0.2
"""Length of a turn: short, so that contenders that are compared meet the same state of the machine."""

WARM_UP = 400
"""Deliveries of the first turn, which is not counted: it imports, compiles and fills caches."""


def _send_all(port: int, deliveries: list[bytes]) -> None:
    """Send every delivery, 64 at a time, each connection the next one after the answer to its last.

    The load never sleeps: waking it would cost a server more the more often it answers alone.
    """
    poller, sockets = select.epoll(), {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poller.register(connection, select.EPOLLIN)
    answers = dict.fromkeys(sockets, b"")
    for connection in sockets.values():
        connection.sendall(deliveries.pop())
    busy = len(sockets)
    while busy:
        for number, _ in poller.poll(0):
            answer = answers[number] + sockets[number].recv(65536)
            if not _complete(answer):
                answers[number] = answer
                continue
            answers[number] = b""
            if deliveries:
                sockets[number].send(deliveries.pop())
            else:
                busy -= 1
    for connection in sockets.values():
        connection.close()
    poller.close()


def _complete(answer: bytes) -> bool:
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(answer.partition(b"\r\n")[0].decode())
    end = answer.find(b"\r\n\r\n") + 4
    if len(answer) == end:
        return b"Content-Length: 0\r\n" in answer or b"content-length: 0\r\n" in answer
    return end > 3 and len(answer) >= end + int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


class Contender:
    """A server process and what is known of it."""

    def __init__(self, name: str, stack: ExitStack, core: int, directory: Path) -> None:
        self.name = name
        self.count = WARM_UP
        self.stores = "memory" in name or "SQLite" in name
        command = [sys.executable, str(Path(__file__).with_name("_receivers.py")), name, str(core), str(directory)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.pid = process.pid
        self.port = int(process.stdout.readline())

    def turn(self) -> tuple[float, float, float]:
        """Return seconds per delivery until all are answered and until all are handled, and CPU seconds for both."""
        deliveries = [signed(self.name) for _ in range(self.count)]
        gc.collect()
        began, began_cpu = perf_counter(), self._cpu_s()
        _send_all(self.port, deliveries)
        answered = perf_counter() - began
        while self.stores and self._waiting():
            time.sleep(0.002)
        handled, cpu = perf_counter() - began, self._cpu_s() - began_cpu
        return answered / self.count, handled / self.count, cpu / self.count

    def _waiting(self) -> int:
        with urlopen(f"http://127.0.0.1:{self.port}{WAITING}", timeout=60) as answer:
            return int(json.load(answer))

    def _cpu_s(self) -> float:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def _measure(contenders: list[Contender]) -> list[dict[str, list[float]]]:
    figures: list[dict[str, list[float]]] = [{contender.name: [] for contender in contenders} for _ in range(3)]
    for contender in contenders:
        contender.turn()
        contender.count = max(CONNECTIONS, int(SECONDS / (contender.turn())[0]))
    rng = Random(0)
    for _ in range(ROUNDS):
        rng.shuffle(contenders)
        for contender in contenders:
            for figure, found in zip(figures, contender.turn(), strict=True):
                figure[contender.name].append(found)
    return figures


def main() -> None:
    """Run the rounds and print the tables."""
    cores = sorted(os.sched_getaffinity(0))
    names = [name for name in CONTENDERS if len(sys.argv) == 1 or name in {"bare aiohttp handler", *sys.argv[1:]}]
    if not has_postgres():
        names = [name for name in names if name != RECEIVES_ONLY]
    with ExitStack() as stack:
        if RECEIVES_ONLY in names:
            in_postgres(f"CREATE DATABASE {DATABASE}")
            stack.callback(in_postgres, f"DROP DATABASE {DATABASE} WITH (FORCE)")
            os.environ[POSTGRES_VARIABLE] = ADMIN.set(database=DATABASE).render_as_string(hide_password=False)
        directory = Path(stack.enter_context(TemporaryDirectory()))
        contenders = [Contender(name, stack, cores[0], directory) for name in names]
        os.sched_setaffinity(0, cores[-1:])
        answered, handled, cpu = _measure(contenders)
    floor = "bare aiohttp handler"
    ours = "pinwheel_async, no inbox"
    times = {name: round(ratio(answered, name, ours), 2) for name in names if ours in names}
    target = {"sqlite_of_floor": 0.5, "no_inbox_of_floor": 0.7, "times_fastapi": 2, "times_others": 3}
    report("Webhooks until they are answered", "a second", _rates(answered), floor, times=times, target=target)
    report("Webhooks until they are handled", "a second", _rates(handled), floor)
    micro = {name: [seconds * 1e6 for seconds in found] for name, found in cpu.items()}
    report("Webhooks", "CPU µs each, of the server", micro, floor)


def _rates(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [1 / seconds for seconds in found] for name, found in figures.items()}


if __name__ == "__main__":
    main()
