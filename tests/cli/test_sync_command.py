"""Command `sync` as a process of its own, against a server on loopback."""

import json
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pinwheel_async import PRODUCTS
from pinwheel_async.testing import FakePinwheel, Fault

from .terminal import on_terminal

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def sync(fake: FakePinwheel, *more: str) -> list[str]:
    return ["sync", "--database", "payroll.db", "--base-url", fake.base_url, *more]


def complaint(done: Done) -> str:
    """Return the one line on stderr."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pinwheel-async: ")
    return line.removeprefix("pinwheel-async: ")


def test_sync(run: Run, fake: FakePinwheel, tmp_path: Path):
    """`sync` copies every account into the database, prints a table and ends with 0."""
    done = run(*sync(fake))

    assert (done.returncode, done.stderr) == (0, "")
    assert "8 accounts" in done.stdout
    connection = sqlite3.connect(tmp_path / "payroll.db")
    assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (8,)
    expected = sum(len(fake.world.records(account_id, "paystubs")) for account_id in fake.world.account_ids())
    assert connection.execute("SELECT count(*) FROM paystubs").fetchone() == (expected,)
    connection.close()


def test_sync_json(run: Run, fake: FakePinwheel):
    """`sync --json` prints the report for programs, and nothing else."""
    done = run(*sync(fake, "--json", "--products", "income", "shifts"))

    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["ok"]
    assert report["products"].keys() == {"income", "shifts"}


def test_sync_of_some_accounts(run: Run, fake: FakePinwheel):
    """`sync --accounts` fetches these accounts only, paystubs from a day on."""
    ids = [fake.world.account_id(1), fake.world.account_id(2)]

    done = run(*sync(fake, "--json", "--from-pay-date", "2026-02-01", "--accounts", *ids))

    assert json.loads(done.stdout)["accounts"] == 2
    assert fake.counts["list_accounts"] == 0
    assert any("from_pay_date" in request.query for request in fake.requests)


@pytest.mark.parametrize("more", [["--json"], []])
def test_sync_with_failures(run: Run, fake: FakePinwheel, more: list[str]):
    """A sync in which an account failed ends with 1 and names it."""
    account_id = fake.world.account_id(3)
    fake.script(Fault(status=400), operation="get_income", account_id=account_id)

    done = run(*sync(fake, *more))

    assert done.returncode == 1
    assert account_id in (done.stdout if more else done.stderr)
    assert "Traceback" not in done.stderr


def test_sync_into_a_url(run: Run, fake: FakePinwheel, tmp_path: Path):
    """The database may be a URL."""
    done = run("sync", "--database", f"sqlite:///{tmp_path}/other.db", "--base-url", fake.base_url)

    assert done.returncode == 0
    assert (tmp_path / "other.db").exists()


def test_an_unusable_database(run: Run, fake: FakePinwheel, tmp_path: Path):
    """A database that cannot be used is one line, and ends with 4."""
    (tmp_path / "payroll.db").write_bytes(b"no database" * 100)

    done = run(*sync(fake))

    assert done.returncode == 4
    assert complaint(done) == f"the database cannot be used ({tmp_path / 'payroll.db'}): SQLITE_NOTADB"


def test_rechecks(run: Run, fake: FakePinwheel):
    """`--recheck-after` says how long a reading of tax forms lasts, and what is no time ends with 2."""
    run(*sync(fake))
    for after, count in (("0d", 8), ("12h", 0), ("999999999d", 0)):
        fake.clear_records()

        assert run(*sync(fake, "--recheck-after", after)).returncode == 0

        assert fake.counts["list_tax_forms"] == count
    for wrong in ("soon", "7 weeks", "99999999999d"):
        done = run(*sync(fake, "--recheck-after", wrong))
        assert (done.returncode, complaint(done)) == (2, "--recheck-after is a time, such as 7d, 12h or 30min")


def test_a_writer_process(run: Run, fake: FakePinwheel):
    """Without an option there is one where there can be one; `--writer-process` where there can be none is an error."""
    place = ("sync", "--database", "sqlite://", "--base-url", fake.base_url)

    assert run(*place).returncode == 0
    assert run(*place, "--no-writer-process").returncode == 0
    assert "needs a file" in complaint(run(*place, "--writer-process"))


def test_again(run: Run, fake: FakePinwheel):
    """`sync` a second time lists the accounts and fetches nothing."""
    run(*sync(fake))
    fake.clear_records()

    done = run(*sync(fake, "--json"))

    assert fake.counts == {"list_accounts": 1}
    assert json.loads(done.stdout)["unchanged"] == 8 * len(PRODUCTS)


def test_the_copy_stays_what_it_is(run: Run, fake: FakePinwheel, tmp_path: Path):
    """A plain `sync` goes on as the copy is; what differs ends with 2, and `--change-scope` makes it so."""
    run(*sync(fake, "--products", "income", "--keep-deleted", "--raw"))

    assert json.loads(run(*sync(fake, "--json")).stdout)["unchanged"] == 8
    refused = run(*sync(fake, "--products", "income", "employment"))
    assert (refused.returncode, "products: income in the copy" in refused.stderr) == (2, True)
    assert "raw: True in the copy, False here" in run(*sync(fake, "--no-raw")).stderr
    assert run(*sync(fake, "--products", "income", "employment", "--change-scope")).returncode == 0
    found = json.loads(run("status", "--database", "payroll.db", "--json", "--check").stdout)
    assert (found["ok"], {*found["products"]}) == (True, {"income", "employment"})
    assert found["scope"]["keep_deleted"] is found["scope"]["raw"] is True


def test_unchanged_is_shown(run: Run, fake: FakePinwheel):
    """The table says of how many accounts a product was up to date."""
    run(*sync(fake, "--products", "income"))

    done = run(*sync(fake, "--products", "income"))

    assert "unchanged" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "income" in line]
    assert [word for word in line.split() if word.isdigit()] == ["8"]


def test_everything_again(run: Run, fake: FakePinwheel):
    """`sync --no-changed-only` fetches everything again."""
    run(*sync(fake, "--products", "income"))
    fake.clear_records()

    run(*sync(fake, "--products", "income", "--no-changed-only"))

    assert fake.counts["get_income"] == 8


def test_since(run: Run, fake: FakePinwheel):
    """`sync --since` bounds paystubs and shifts."""
    run(*sync(fake, "--since", "2026-02-01"))

    queries = {request.operation: request.query for request in fake.requests}
    assert "from_pay_date" in queries["list_paystubs"]
    assert "from_start_date" in queries["list_shifts"]


def test_dry_run(run: Run, fake: FakePinwheel, tmp_path: Path):
    """`sync --dry-run` says how many requests it takes, and makes no file."""
    done = run(*sync(fake, "--dry-run"))

    assert (done.returncode, done.stderr) == (0, "")
    assert f"at least {1 + 8 * len(PRODUCTS)} requests, 1 of them for the accounts" in done.stdout
    assert fake.counts == {"list_accounts": 1}
    assert not [*tmp_path.iterdir()]


def test_dry_run_of_what_is_there(run: Run, fake: FakePinwheel):
    """`sync --dry-run` looks at what the database holds."""
    run(*sync(fake))
    fake.world.touch(fake.world.account_id(1), "income")

    done = run(*sync(fake, "--dry-run", "--json"))

    assert json.loads(done.stdout)["planned"] == {"accounts": 1, "income": 1}


def test_retry_failed(run: Run, fake: FakePinwheel):
    """`sync --retry-failed` fetches what failed before, and nothing else."""
    fake.script(Fault(status=400), operation="get_income", account_id=fake.world.account_id(3))
    run(*sync(fake))
    fake.clear_records()

    done = run(*sync(fake, "--retry-failed"))

    assert done.returncode == 0
    assert fake.counts == {"get_account": 1, "get_income": 1}


def test_requests_per_s(run: Run, fake: FakePinwheel):
    """`sync --requests-per-s` begins no more requests than that."""
    done = run(*sync(fake, "--json", "--products", "income", "--requests-per-s", "10"))

    assert fake.counts.total() == 9
    assert json.loads(done.stdout)["seconds"] > 0.7


def test_report_file(run: Run, fake: FakePinwheel, tmp_path: Path):
    """`sync --report` writes what `--json` prints into a file that only its owner can read."""
    done = run(*sync(fake, "--json", "--report", "report.json"))

    file = tmp_path / "report.json"
    assert done.stdout == file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {file.name for file in tmp_path.iterdir()} >= {"payroll.db", "report.json"}
    assert not [*tmp_path.glob(".report*")]


@pytest.mark.parametrize("place", ["nowhere/report.json", "."])
def test_report_file_that_cannot_be(run: Run, fake: FakePinwheel, place: str):
    """A report that cannot be written is found out before anything is sent."""
    done = run(*sync(fake, "--report", place))

    assert done.returncode == 2
    assert "cannot write the report" in complaint(done)
    assert not fake.requests


def test_report_file_of_a_run_that_died(run: Run, fake: FakePinwheel, tmp_path: Path):
    """A run that ends with an error writes its report, too, which names the error."""
    (tmp_path / "report.json").write_text("earlier", encoding="utf-8")
    fake.script(Fault(status=401), operation="get_income")

    done = run(*sync(fake, "--report", "report.json"))

    assert done.returncode == 3
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["ok"], report["ended_by"]) == (False, "UnauthorizedError")
    assert not [*tmp_path.glob(".report*")]


def finished(file: Path) -> int:
    """Count the products of accounts that are read to their end."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM pinwheel_checkpoints WHERE reached != 'reading'").fetchone()[0]


@contextmanager
def started(
    environment: dict[str, str], fake: FakePinwheel, folder: Path, *more: str
) -> Iterator["subprocess.Popen[str]"]:
    """Start a sync of which two requests for shifts hang, and wait until they do and what was fetched is stored."""
    fake.fail_randomly(1.0, Fault(delay_s=30), operation="list_shifts")
    command = [sys.executable, "-W", "error", "-m", "pinwheel_async", *sync(fake, "--concurrency", "2", *more)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, cwd=folder, text=True, **pipes)
    try:
        for _ in range(3_000):
            if fake.counts["list_shifts"] == 2 and finished(folder / "payroll.db") == 11:
                break
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_stopped(environment: dict[str, str], fake: FakePinwheel, tmp_path: Path, number: signal.Signals, word: str):
    """A sync that gets SIGINT or SIGTERM ends soon, with the report of what it did and the code of the interrupted."""
    with started(environment, fake, tmp_path, "--json", "--report", "report.json") as process:
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)

    assert (process.returncode, stderr) == (130, f"pinwheel-async: {word}; what was fetched is stored\n")
    report = json.loads(stdout)
    assert (report["stopped"], report["products"]["income"]["complete"]) == (True, 2)
    assert stdout == (tmp_path / "report.json").read_text(encoding="utf-8")


def test_what_was_fetched_is_stored(environment: dict[str, str], fake: FakePinwheel, tmp_path: Path):
    """What an interrupted sync stored is whole."""
    with started(environment, fake, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    with closing(sqlite3.connect(tmp_path / "payroll.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM incomes").fetchone() == (2,)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_going_on(environment: dict[str, str], run: Run, fake: FakePinwheel, tmp_path: Path, number: signal.Signals):
    """A sync that was ended by a signal, be it SIGKILL, goes on without what was read to its end."""
    with started(environment, fake, tmp_path) as process:
        process.send_signal(number)
        process.communicate(timeout=10)
    fake.clear_faults()
    fake.clear_records()

    done = run(*sync(fake, "--json"))

    report = json.loads(done.stdout)
    assert (report["ok"], report["unchanged"]) == (True, 11)
    assert fake.counts.total() == 1 + 8 * len(PRODUCTS) - 11
    with closing(sqlite3.connect(tmp_path / "payroll.db")) as database:
        expected = sum(len(fake.world.records(account_id, "shifts")) for account_id in fake.world.account_ids())
        assert database.execute("SELECT count(*) FROM shifts").fetchone() == (expected,)


def test_a_second_signal(tmp_path: Path):
    """A second signal ends a command that cannot stop, at once, with the code of that signal."""
    code = """
import asyncio
from pinwheel_async.cli._signals import stopping

async def main():
    with stopping() as stop:
        print("ready", flush=True)
        await stop.event.wait()
        print("stopping", flush=True)
        await asyncio.sleep(30)

asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)

    process.communicate(timeout=10)
    assert process.returncode == 143


def test_on_a_terminal(environment: dict[str, str], fake: FakePinwheel, tmp_path: Path):
    """On a terminal `sync` shows how far it is, what is in flight, and the kinds of errors."""
    fake.script(Fault(status=400), operation="get_income")
    fake.fail_randomly(1.0, Fault(delay_s=0.3), operation="list_shifts")
    command = [sys.executable, "-W", "error", "-m", "pinwheel_async", *sync(fake, "--concurrency", "2")]
    code, shown = on_terminal(command, environment, tmp_path)

    assert code == 1
    wanted = (rb"accounts", rb"in flight [12]", rb"InvalidRequestError", rb"pages/s")
    assert [text for text in wanted if not re.search(text, shown)] == []
