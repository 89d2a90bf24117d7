"""Benchmark of the inbox in PostgreSQL: what accepting costs, and how many deliveries workers take from it.

Accepting: 64 puts at once in one process, beside the floor: inserts of the same bodies by id, 64 in a statement of its
own, which is one commit. Handling: a backlog that is there when one worker process begins, or two at once, with a
handler that does nothing: each delivery of an account of its own, 20 of each account, or all of one account, which come
one after another. CPU is that of the worker processes and of the server's processes that serve them, so it hardly
depends on what else the machine does; rates do. Transactions are those that the database counts.

    export PINWHEEL_ASYNC_POSTGRES_URL=postgresql://postgres@127.0.0.1:5432/postgres
    pip install '.[bench]' && python -m benchmarks postgres

The server has to run on the same machine, and should flush to a disk. `python benchmarks/bench_postgres.py ROOT OTHER`
compares checkouts: each takes its turns beside the others, in every round.
"""

import asyncio
import mmap
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, islice
from pathlib import Path
from random import Random
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from _bench import event_body, show

URL = os.environ.get("PINWHEEL_ASYNC_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
ROUNDS = 3
WRITERS = 64
ACCEPTED = 4_000
LOADS = (
    ("1 per account, one worker", 1, 1, 4_000),
    ("1 per account, two workers", 1, 2, 4_000),
    ("20 per account, one worker", 20, 1, 4_000),
    ("20 per account, two workers", 20, 2, 4_000),
    ("one account alone", 1_000_000, 1, 1_000),
)
"""Name, deliveries of each account, workers, and deliveries."""

BARE = 'CREATE TABLE IF NOT EXISTS bare (event_id text COLLATE "C" PRIMARY KEY, body bytea NOT NULL)'
INSERT_BARE = "INSERT INTO bare SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING"


class Counter:
    """Number that processes count up together: each has eight bytes of a file."""

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            file.truncate(64)
            self._bytes = memoryview(mmap.mmap(file.fileno(), 64)).cast("Q")

    def add(self, slot: int) -> None:
        self._bytes[slot] += 1

    def total(self) -> int:
        return sum(self._bytes)

    def clear(self) -> None:
        for slot in range(len(self._bytes)):
            self._bytes[slot] = 0


def _deliveries(numbers: Iterator[int], count: int, each: int) -> list[Any]:
    from pinwheel_async.webhooks._delivery import Delivery  # noqa: PLC0415  # each child has its own checkout

    now = time.time()
    return [
        Delivery(
            event_id=f"event-{os.getpid()}-{number}",
            event="income.added",
            ordering_key=f"account-{os.getpid()}-{number // each}",
            received_at=_utc(now),
            key="k",
            body=event_body(number),
        )
        for number in islice(numbers, count)
    ]


def _utc(seconds: float) -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(seconds, UTC)


async def _put(inbox: Any, some: list[Any]) -> None:
    left = iter(some)

    async def write() -> None:
        for delivery in left:
            await inbox.put(delivery)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())


async def _line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def _fill(url: str) -> None:
    """Put as many deliveries as each line says, and how many of each account."""
    from pinwheel_async.webhooks import PostgresInbox  # noqa: PLC0415

    inbox = PostgresInbox(url)
    await inbox.open()
    await _time_each(lambda some: _put(inbox, some))
    await inbox.close()


async def _fill_bare(url: str) -> None:
    """Insert the same bodies as fast as the driver can."""
    connection = await asyncpg.connect(url)
    await connection.execute(BARE)

    async def put(some: list[Any]) -> None:
        for first in range(0, len(some), WRITERS):
            part = sorted([(delivery.event_id, delivery.body) for delivery in some[first : first + WRITERS]])
            await connection.execute(INSERT_BARE, *map(list, zip(*part, strict=True)))

    await _time_each(put)
    await connection.close()


async def _time_each(put: Callable[[list[Any]], Awaitable[None]]) -> None:
    """Make the deliveries of each line, put them at the next one, and print how long that took."""
    numbers = count()
    print("ready", flush=True)
    while line := await _line():
        number, each = map(int, line.split())
        some = _deliveries(numbers, number, each)
        print("made", flush=True)
        await _line()
        began = time.perf_counter()
        await put(some)
        print(time.perf_counter() - began, flush=True)


async def _work(url: str, path: str, slot: int) -> None:
    from pinwheel_async.events import IncomeAdded  # noqa: PLC0415
    from pinwheel_async.webhooks import PostgresInbox, Router  # noqa: PLC0415
    from pinwheel_async.webhooks._worker.dispatch import Dispatcher  # noqa: PLC0415
    from pinwheel_async.webhooks._worker.worker import Worker  # noqa: PLC0415

    router, counter = Router(), Counter(path)

    @router.on(IncomeAdded)
    async def handle(_: IncomeAdded) -> None:
        counter.add(slot)

    router.freeze()
    inbox, dispatcher = PostgresInbox(url), Dispatcher(router, timeout_s=30)
    await inbox.open()
    for delivery in _deliveries(count(), 100, 1):  # which imports and builds what handling needs
        await dispatcher.run(delivery, delivery.body, None)
    worker = Worker(inbox, dispatcher)
    print("ready", flush=True)
    await _line()
    worker.start()
    await _line()
    await worker.stop(5)
    await inbox.close()


class Child:
    """A process of one checkout."""

    def __init__(self, root: str, stack: ExitStack, *arguments: str) -> None:
        command = [sys.executable, __file__, "--child", *arguments]
        environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parent}"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd="/"
        )
        stack.callback(self.end)
        self.hear()

    def say(self, text: str = "") -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{text}\n")
            self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def cpu_s(self) -> float:
        return sum(map(_cpu_s, Path(f"/proc/{self.process.pid}/task").glob("*")))


def _cpu_s(process: Path) -> float:
    try:
        return int((process / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    except OSError:  # it has ended
        return 0.0


class Database:
    """A database of one checkout."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop, self.name = loop, name
        self.url = urlunsplit(urlsplit(URL)._replace(path=f"/{name}"))
        self._server = self._ask(asyncpg.connect(URL))
        self._make()

    def _ask(self, asking: Any) -> Any:
        return self._loop.run_until_complete(asking)

    def _make(self) -> None:
        self._ask(self._server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)"))
        self._ask(self._server.execute(f"CREATE DATABASE {self.name}"))

    def drop(self) -> None:
        self._ask(self._server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)"))
        self._ask(self._server.close())

    def cpu_s(self) -> dict[int, float]:
        rows = self._ask(self._server.fetch("SELECT pid FROM pg_stat_activity WHERE datname = $1", self.name))
        return {pid: _cpu_s(Path(f"/proc/{pid}")) for (pid,) in rows}

    def commits(self) -> int:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = $1"
        return int(self._ask(self._server.fetchval(query, self.name)))

    def settle(self) -> None:
        """Vacuum, so that no turn pays for the one before it."""
        connection = self._ask(asyncpg.connect(self.url))
        self._ask(connection.execute("DELETE FROM pinwheel_inbox_deliveries WHERE state = 'd'"))
        self._ask(connection.execute("VACUUM ANALYZE"))
        self._ask(connection.execute("CHECKPOINT"))
        self._ask(connection.close())

    def unfinished(self) -> int:
        connection = self._ask(asyncpg.connect(self.url))
        found = self._ask(connection.fetchval("SELECT count(*) FROM pinwheel_inbox_queues"))
        self._ask(connection.close())
        return int(found)


def _grown(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _accept(database: Database, filler: Child, number: int, each: int) -> dict[str, float]:
    """Let a process put so many; return seconds, and CPU seconds of both sides."""
    filler.say(f"{number} {each}")
    filler.hear()
    before, before_cpu = database.cpu_s(), filler.cpu_s()
    filler.say()
    took = float(filler.hear())
    return {
        "a second": number / took,
        "CPU µs of the client": (filler.cpu_s() - before_cpu) / number * 1e6,
        "CPU µs of PostgreSQL": _grown(before, database.cpu_s()) / number * 1e6,
    }


def _handle(database: Database, root: str, workers: int, number: int) -> dict[str, float]:
    """Let workers handle what there is; return what it took."""
    with ExitStack() as stack:
        file = stack.enter_context(NamedTemporaryFile())
        counter = Counter(file.name)
        commits = database.commits()
        children = [Child(root, stack, "work", database.url, file.name, str(slot)) for slot in range(workers)]
        counter.clear()
        before, before_cpu = database.cpu_s(), [child.cpu_s() for child in children]
        began = time.perf_counter()
        for child in children:
            child.say()
        while counter.total() < number:
            time.sleep(0.005)
            assert time.perf_counter() - began < 60, "they do not come to an end"
        took = time.perf_counter() - began
        while database.unfinished():
            time.sleep(0.01)
        found = {
            "a second": number / took,
            "CPU µs of workers": sum(child.cpu_s() for child in children) / number * 1e6
            - sum(before_cpu) / number * 1e6,
            "CPU µs of PostgreSQL": _grown(before, database.cpu_s()) / number * 1e6,
        }
        for child in children:
            child.say()
            child.process.wait()
    found["transactions"] = (database.commits() - commits) / number
    found["handled twice"] = counter.total() - number
    return found


def _measure(roots: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return medians for each question, and in it for each contender."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    loop, rng = asyncio.new_event_loop(), Random(0)

    def note(what: str, who: str, figures: dict[str, float]) -> None:
        found.setdefault(what, {}).setdefault(who, []).append(figures)

    with ExitStack() as stack:
        places: list[tuple[str, Database, Child, Child | None]] = []
        for number, root in enumerate(roots):
            database = Database(loop, f"pinwheel_bench_{os.getpid()}_{number}")
            stack.callback(database.drop)
            bare = Child(root, stack, "bare", database.url) if not number else None
            places.append((root, database, Child(root, stack, "fill", database.url), bare))
        for turn in range(ROUNDS + 1):
            rng.shuffle(places)
            for name, each, workers, number in LOADS:
                for root, database, filler, bare in places:
                    if bare is not None and name == LOADS[0][0]:
                        figures = _accept(database, bare, ACCEPTED, 1)
                        if turn:
                            note("Accept, 1 per account", "bare insert, 64 in a statement", figures)
                    figures = _accept(database, filler, number, each)
                    if turn and workers == 1:
                        note(f"Accept, {name.partition(',')[0]}", root, figures)
                    figures = _handle(database, root, workers, number)
                    if turn:
                        note(f"Handle, {name}", root, figures)
                    database.settle()
    return {
        what: {
            who: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
            for who, turns in contenders.items()
        }
        for what, contenders in found.items()
    }


def main() -> None:
    """Run the rounds and print medians."""
    roots = sys.argv[1:] or [str(Path(__file__).parent.parent)]
    for what, contenders in sorted(_measure(roots).items()):
        heads = ("", *next(iter(contenders.values())))
        ours = {who if len(roots) > 1 or who not in roots else "pinwheel_async": who for who in contenders}
        rows = [(name, *contenders[who].values()) for name, who in ours.items()]
        facts = {name: {key: round(value, 3) for key, value in contenders[who].items()} for name, who in ours.items()}
        show(what, heads, rows, {"title": what, **facts})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        role, *arguments = sys.argv[2:]
        match role:
            case "fill":
                asyncio.run(_fill(*arguments))
            case "bare":
                asyncio.run(_fill_bare(*arguments))
            case _:
                asyncio.run(_work(arguments[0], arguments[1], int(arguments[2])))
    else:
        main()
