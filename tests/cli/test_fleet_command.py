"""`sync --fleet` and the commands `fleet` as processes of their own."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from pinwheel_async.testing import FakePinwheel, Fault

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def test_sync(run: Run, fake: FakePinwheel, postgres: str, tmp_path: Path):
    """`sync --fleet` does a run and prints its report; `fleet` shows it, has nothing to watch, and nothing to stop."""
    place = ("--database", postgres)

    done = run("sync", *place, "--fleet", "--base-url", fake.base_url, "--products", "income", "--report", "r.json")

    assert (done.returncode, done.stderr) == (0, "")
    assert "8 accounts" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["products"]["income"]["complete"] == 8
    shown = run("fleet", "show", *place)
    assert shown.returncode == 0
    assert "run 1, begun" in shown.stdout
    assert ": done" in shown.stdout
    watched = run("fleet", "watch", *place, "--json")
    assert (watched.returncode, json.loads(watched.stdout)["state"]) == (0, "done")
    assert run("fleet", "stop", *place).stdout == "there is no run to stop\n"


def test_signal(run: Run, fake: FakePinwheel, postgres: str, environment: dict[str, str]):
    """A process of a fleet that gets SIGTERM ends in order; the run can be stopped, and is over then."""
    fake.script(Fault(delay_s=60), times=8, operation="get_income")
    command = ["sync", "--database", postgres, "--fleet", "--base-url", fake.base_url, "--products", "income"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pinwheel_async", *command], env=environment, stderr=subprocess.PIPE, text=True
    )
    while not fake.counts["get_income"] and process.poll() is None:
        time.sleep(0.01)
    # The partition may be read before the list is noted to be at its end.
    while "listed;" not in run("fleet", "show", "--database", postgres).stdout and process.poll() is None:
        pass
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "the other processes go on" in errors
    assert "listed; 1 partitions to read, 0 leases held" in run("fleet", "show", "--database", postgres).stdout
    assert run("fleet", "stop", "--database", postgres).stdout == "the run is being stopped\n"
    assert run("fleet", "watch", "--database", postgres).returncode == 1
    assert json.loads(run("fleet", "show", "--database", postgres, "--json").stdout)["state"] == "stopped"


async def test_pace(run: Run, fake: FakePinwheel, postgres: str):
    """`sync --pace` keeps its rate in the database that is named."""
    place = ("--database", "copy.db", "--products", "income", "--base-url", fake.base_url)

    done = await asyncio.to_thread(run, "sync", *place, "--pace", postgres, "--requests-per-s", "200")

    assert (done.returncode, done.stderr) == (0, "")
    connection = await asyncpg.connect(postgres)
    assert await connection.fetchval("SELECT per_s FROM pinwheel_rates") == 200
    await connection.close()


def test_pace_without_a_rate(run: Run, fake: FakePinwheel):
    """`sync --pace` needs a rate, and a URL of PostgreSQL, which it does not show."""
    place = ("--database", "copy.db", "--base-url", fake.base_url)

    done = run("sync", *place, "--pace", "postgresql://db/copy")
    other = run("sync", *place, "--pace", "planted", "--requests-per-s", "1")

    assert (done.returncode, other.returncode) == (2, 2)
    assert "goes with --requests-per-s" in done.stderr
    assert "must be like postgresql://" in other.stderr
    assert "planted" not in other.stderr


@pytest.mark.parametrize(
    "more", [["--accounts", "8a1a1d3e-5c62-4d9c-8b8c-6d0c6b1f0f01"], ["--retry-failed"], ["--dry-run"]]
)
def test_what_goes_alone(run: Run, fake: FakePinwheel, more: list[str]):
    """What one process can do alone is refused with --fleet."""
    done = run("sync", "--database", "postgresql://db/copy", "--fleet", "--base-url", fake.base_url, *more)

    assert done.returncode == 2
    assert "one process is enough" in done.stderr


@pytest.mark.parametrize("command", [["sync", "--fleet"], ["fleet", "show"], ["fleet", "watch"], ["fleet", "stop"]])
def test_without_postgres(run: Run, fake: FakePinwheel, command: list[str]):
    """A copy in a file is refused, and not made."""
    done = run(*command, "--database", "payroll.db")

    assert done.returncode == 2
    assert "needs a copy in PostgreSQL" in done.stderr


def test_without_a_copy(run: Run, postgres: str):
    """To look at the fleet of a database without a copy makes none."""
    done = run("fleet", "show", "--database", postgres)

    assert done.returncode == 2
    assert "there is no copy" in done.stderr
