"""End to end: real sockets, real processes, real files, as a user has them."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import PRODUCTS, Pinwheel, RetryPolicy, TransportError
from pinwheel_async.sync import JsonLinesSink, MemorySink, SqlSink, sync

ACCOUNTS = 60
TABLES = {
    "accounts": "accounts",
    "identity": "identities",
    "income": "incomes",
    "employment": "employments",
    "direct_deposit_allocations": "direct_deposit_allocations",
    "paystubs": "paystubs",
    "shifts": "shifts",
    "tax_forms": "tax_forms",
}


async def test_sync_from_one_process_into_a_file(server, tmp_path):
    """A sync stores every object that the server in the other process has, and the report counts them."""
    file = tmp_path / "payroll.db"
    async with Pinwheel(server.api_secret, base_url=server.base_url) as pinwheel:
        report = await sync(pinwheel, SqlSink(f"sqlite:///{file}"))
        listed = [account.id async for account in pinwheel.accounts.list()]
        paystubs = {
            account_id: {stub.id for stub in await pinwheel.paystubs.list(account_id).all()} for account_id in listed
        }

    assert report.ok
    assert ACCOUNTS == report.accounts == len(listed)
    assert {name: counts.items for name, counts in report.products.items()} == {
        name: _count(file, TABLES[name]) for name in PRODUCTS
    }
    stored = _rows(file, "SELECT account_id, id FROM paystubs")
    assert {(account, stub) for account, stubs in paystubs.items() for stub in stubs} == set(stored)


async def test_sync_twice(server, tmp_path):
    """A second sync changes nothing but the row that says when the accounts were listed."""
    listed = "INSERT INTO \"pinwheel_checkpoints\" VALUES('','accounts',"
    file = tmp_path / "payroll.db"
    dumps = []
    async with Pinwheel(server.api_secret, base_url=server.base_url) as pinwheel:
        for _ in range(2):
            await sync(pinwheel, SqlSink(f"sqlite:///{file}"))
            with closing(sqlite3.connect(file)) as database:
                dumps.append([line for line in database.iterdump() if not line.startswith(listed)])

    assert dumps[0] == dumps[1]


async def test_sinks_agree(server, tmp_path):
    """A database, files and memory hold the same objects."""
    memory = MemorySink()
    async with Pinwheel(server.api_secret, base_url=server.base_url) as pinwheel:
        for sink in (SqlSink(f"sqlite:///{tmp_path}/payroll.db"), JsonLinesSink(tmp_path), memory):
            await sync(pinwheel, sink)

    for kind, table in TABLES.items():
        lines = (tmp_path / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
        kept = {item.id for item in memory.items(kind)}  # type: ignore[attr-defined, arg-type]  # every kind has an id
        assert kept == {json.loads(line)["id"] for line in lines}, kind
        assert kept == {row[0] for row in _rows(tmp_path / "payroll.db", f"SELECT id FROM {table}")}, kind  # noqa: S608


async def test_server_that_dies(server):
    """A server that is gone is a `TransportError`, and the client lives on."""
    async with Pinwheel(
        server.api_secret, base_url=server.base_url, retry=RetryPolicy(attempts=2, base_s=0)
    ) as pinwheel:
        account = (await pinwheel.accounts.list(limit=1)).data[0]
        os.kill(server.pid, signal.SIGKILL)
        os.waitpid(server.pid, 0)
        with pytest.raises(TransportError) as caught:
            await pinwheel.income.get(account.id)

        assert 2 == caught.value.attempts
        assert "open" in repr(pinwheel)


def test_command_line_against_a_server(server, tmp_path):
    """The command syncs from a server into a file that its owner only can read, and reports in JSON."""
    done = _run(
        [
            "sync",
            "--database",
            "payroll.db",
            "--products",
            "income",
            "paystubs",
            "--json",
            "--base-url",
            server.base_url,
        ],
        tmp_path,
        PINWHEEL_API_SECRET=server.api_secret,
    )

    report = json.loads(done.stdout)
    assert (0, True, ACCOUNTS) == (done.returncode, report["ok"], report["accounts"])
    assert report["products"]["paystubs"]["items"] == _count(tmp_path / "payroll.db", "paystubs")
    assert 0o600 == stat.S_IMODE((tmp_path / "payroll.db").stat().st_mode)


def test_command_line_with_a_wrong_secret(server, tmp_path):
    """A secret that is not accepted is one line on stderr, without the secret, and exit code 3."""
    done = _run(["accounts", "--base-url", server.base_url], tmp_path, PINWHEEL_API_SECRET="planted-secret")

    assert (3, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert "planted" not in done.stderr


def test_demo(tmp_path):
    """The README's demonstration fills a database out of nothing but itself, with neither key nor network."""
    done = _run(["demo", "--accounts", "20"], tmp_path, PINWHEEL_API_SECRET="")

    assert (0, "") == (done.returncode, done.stderr)
    assert "20 accounts" in done.stdout
    assert 20 == _count(tmp_path / "pinwheel_demo.db", "accounts")
    assert 20 < _count(tmp_path / "pinwheel_demo.db", "paystubs")


def test_demo_interrupted(tmp_path):
    """Ctrl-C ends the command with one line and exit code 130."""
    command = [sys.executable, "-m", "pinwheel_async", "demo", "--accounts", "1000000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "pinwheel_demo.db").exists():  # it is under way when there is a file
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                pytest.fail("the demo did not get under way")
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (130, "pinwheel-async: interrupted\n") == (process.returncode, errors)


def _run(arguments: Sequence[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pinwheel_async", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=120, check=False
    )


def _rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def _count(file: Path, table: str) -> int:
    return _rows(file, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608  # a table of this file's
