"""Commands on a copy: `status`, `export` and `purge`."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pinwheel_async import Pinwheel, RetryPolicy
from pinwheel_async.cli._app import run
from pinwheel_async.sync import Announcement, SqlSink, sync
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import Delivery, SqliteInbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fake() -> FakePinwheel:
    """A fake with 6 accounts, not started."""
    return FakePinwheel(accounts=6)


@pytest.fixture
def copy(fake: FakePinwheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Copy the workspace of the fake into `payroll.db` of the current folder."""
    monkeypatch.chdir(tmp_path)

    async def fill() -> None:
        retry = RetryPolicy(attempts=1)
        async with fake, Pinwheel(fake.api_secret, base_url=fake.base_url, retry=retry) as pinwheel:
            await sync(pinwheel, SqlSink("sqlite:///payroll.db"))

    def make() -> Path:
        asyncio.run(fill())
        return tmp_path / "payroll.db"

    return make


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line; return its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, answer: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  # ours
    return found


def put(path: Path, *ordering_keys: str) -> None:
    """Make an inbox with a delivery of each ordering key."""

    async def fill() -> None:
        inbox = SqliteInbox(path)
        await inbox.open()
        for ordering_key in ordering_keys:
            event_id = f"of {ordering_key}"
            await inbox.put(Delivery(event_id=event_id, event="e", ordering_key=ordering_key, received_at=NOW, key="0"))
        await inbox.close()

    asyncio.run(fill())


def test_status(copy: Callable[[], Path], command: Run):
    """`status` prints a table of the products, and what the file takes."""
    path = copy()

    code, out, err = command("status", "--database", "payroll.db")

    assert (0, "") == (code, err)
    assert "6 accounts" in out
    assert f"{count(path, 'paystubs'):,}" in next(line for line in out.splitlines() if "paystubs" in line)
    assert "MiB, tables of version" in out or "KiB, tables of version" in out


def test_status_json(copy: Callable[[], Path], command: Run):
    """`status --json` prints everything for programs, and nothing else."""
    path = copy()

    code, out, err = command("status", "--database", "payroll.db", "--json")

    found = json.loads(out)
    assert (0, "", True, 6) == (code, err, found["ok"], found["accounts"])
    assert count(path, "shifts") == found["products"]["shifts"]["objects"]


def test_status_of_failures(copy: Callable[[], Path], command: Run, fake: FakePinwheel):
    """`status` names what failed on stderr; it ends with 1 only if `--check` asks for it."""
    account_id = fake.world.account_id(3)
    fake.script(Fault(status=400), operation="get_income", account_id=account_id)
    copy()

    code, out, err = command("status", "--database", "payroll.db")
    checked, _, _ = command("status", "--database", "payroll.db", "--check")

    assert (0, 1) == (code, checked)
    assert f"failed: income of {account_id}: InvalidRequestError\n" == err
    assert "failed" in out


def test_status_check_of_a_good_copy(copy: Callable[[], Path], command: Run):
    """`status --check` ends with 0 if there is nothing to be done."""
    copy()

    assert command("status", "--database", "payroll.db", "--check")[0] == 0


def test_status_of_what_is_absent(copy: Callable[[], Path], command: Run, fake: FakePinwheel):
    """`status` shows what was announced, and what of it is not there."""
    copy()

    async def announce() -> None:
        sink = SqlSink("sqlite:///payroll.db")
        await sink.open()
        for product, added in (("paystubs", ("x", "y")), ("tax_forms", ())):
            announcement = Announcement(
                event_id=product,
                event="e",
                account_id=fake.world.account_id(1),
                product=product,
                announced_at=NOW,
                received_at=NOW,
                added=added,
            )
            await sink.announce(announcement)
        await sink.close(complete=True)

    asyncio.run(announce())
    code, out, _ = command("status", "--database", "payroll.db", "--check")

    assert code == 1
    assert "announced" in out
    assert "absent" in out


def test_status_of_an_empty_copy(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`status` of a copy in which there is nothing yet says so."""
    monkeypatch.chdir(tmp_path)

    async def make() -> None:
        sink = SqlSink("sqlite:///payroll.db")
        await sink.open()
        await sink.close(complete=True)

    asyncio.run(make())
    code, out, _ = command("status", "--database", "payroll.db")

    assert (0, True) == (code, "0 accounts" in out)


@pytest.mark.parametrize("name", [["status"], ["export", "--to", "out"], ["purge", "--account-id", "a", "--yes"]])
def test_no_database(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: list[str]):
    """A database that is not there is wrong usage, and is not made."""
    monkeypatch.chdir(tmp_path)

    code, out, err = command(*name, "--database", "payroll.db")

    assert (2, "", "pinwheel-async: there is no copy here: there is no such database\n") == (code, out, err)
    assert not [*tmp_path.iterdir()]


def test_export(copy: Callable[[], Path], command: Run, tmp_path: Path):
    """`export` writes Parquet files, and prints their numbers of rows."""
    path = copy()

    code, out, err = command("export", "--database", "payroll.db", "--to", "out")

    assert (0, "") == (code, err)
    rows = pq.read_table(tmp_path / "out" / "paystubs.parquet").num_rows
    assert count(path, "paystubs") == rows
    assert f"{rows:>12,}  out/paystubs.parquet\n" in out


def test_export_to_a_url(copy: Callable[[], Path], command: Run, tmp_path: Path):
    """`export --to` takes a URL of a folder, and prints where the files are."""
    copy()

    code, out, err = command("export", "--database", "payroll.db", "--to", f"file://{tmp_path}/out/", "--format", "csv")

    assert (0, "") == (code, err)
    assert (tmp_path / "out" / "paystubs.csv").is_file()
    assert f"  file://{tmp_path}/out/paystubs.csv\n" in out


def test_export_of_what_changed(copy: Callable[[], Path], command: Run):
    """`export --changed-since` takes a moment, of UTC if it names no zone."""
    copy()
    arguments = ("export", "--database", "payroll.db", "--to", "out", "--json", "--changed-since")

    counts = [
        json.loads(command(*arguments, moment)[1])["accounts"] for moment in ("2020-01-01", "2999-01-01T00:00:00+02:00")
    ]

    assert [6, 0] == counts


def test_export_by_month(copy: Callable[[], Path], command: Run, tmp_path: Path):
    """`export --partition-by month` writes files by month, and prints where they are."""
    path = copy()

    code, out, err = command(
        *("export", "--database", "payroll.db", "--to", "out", "--partition-by", "month"),
        *("--tables", "accounts", "paystubs", "monthly_income"),
    )

    assert (0, "") == (code, err)
    assert count(path, "paystubs") == pq.read_table(tmp_path / "out" / "paystubs").num_rows
    assert [line.split()[1] for line in out.splitlines()] == [
        "out/accounts.parquet",
        "out/paystubs/month=*/paystubs.parquet",
        "out/monthly_income.parquet",
    ]


def test_export_csv(copy: Callable[[], Path], command: Run, tmp_path: Path):
    """`export --format csv --tables` writes these tables as CSV; `--json` is for programs."""
    path = copy()

    code, out, _ = command(
        *("export", "--database", "payroll.db", "--to", "out", "--format", "csv", "--json"),
        *("--tables", "accounts", "shifts"),
    )

    assert (0, {"accounts": 6, "shifts": count(path, "shifts")}) == (code, json.loads(out))
    with (tmp_path / "out" / "accounts.csv").open(newline="") as file:
        assert len([*csv.DictReader(file)]) == 6


def test_export_of_no_table(copy: Callable[[], Path], command: Run):
    """A table that does not exist is wrong usage."""
    copy()

    code, _, err = command("export", "--database", "payroll.db", "--to", "out", "--tables", "payslips")

    assert code == 2
    assert "there is no table payslips" in err


@pytest.mark.parametrize("how", [["--yes"], []])
def test_purge(copy: Callable[[], Path], command: Run, fake: FakePinwheel, tmp_path: Path, how: list[str]):
    """`purge` removes an account from the copy and the inbox, when it is told to or the answer is yes."""
    account_id, other = fake.world.account_id(2), fake.world.account_id(3)
    path = copy()
    put(tmp_path / "inbox.db", account_id, other)

    code, out, err = command(
        *("purge", "--database", "payroll.db", "--inbox", "inbox.db", "--account-id", account_id, "--json", *how),
        answer="y\n",
    )

    found = json.loads(out)
    assert (0, [account_id], 1) == (code, found["accounts"], found["removed"]["inbox"])
    assert count(path, "accounts") == 5
    assert count(tmp_path / "inbox.db", "delivery") == 1
    assert bool(how) == (err == "")


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_purge_asks(copy: Callable[[], Path], command: Run, fake: FakePinwheel, answer: str):
    """`purge` removes nothing unless the answer is yes; end of input is a no."""
    path = copy()

    code, out, err = command(
        "purge", "--database", "payroll.db", "--account-id", fake.world.account_id(2), answer=answer
    )

    assert (2, "") == (code, out)
    assert err.endswith("pinwheel-async: nothing was removed: answer y, or say --yes\n")
    assert count(path, "accounts") == 6


def test_purge_of_an_end_user(copy: Callable[[], Path], command: Run, tmp_path: Path):
    """`purge --end-user-id` removes all accounts of a user, and prints how much of what."""
    path = copy()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE accounts SET end_user_id = 'user' WHERE id IN (SELECT id FROM accounts LIMIT 2)")

    code, out, _ = command("purge", "--database", "payroll.db", "--end-user-id", "user", "--yes")
    again, nothing, _ = command("purge", "--database", "payroll.db", "--end-user-id", "user", "--yes")

    assert (0, 0, 4) == (code, again, count(path, "accounts"))
    assert f"{2:>12}  accounts\n" in out
    assert out.endswith("removed; nothing remains\n")
    assert "there was nothing to remove\n" == nothing


def test_purge_lifted(copy: Callable[[], Path], command: Run, fake: FakePinwheel):
    """`purge --lift` lets an account be fetched again, says whether it was removed, and needs its id."""
    account_id = fake.world.account_id(2)
    copy()
    command("purge", "--database", "payroll.db", "--account-id", account_id, "--yes")
    lift = ("purge", "--database", "payroll.db", "--lift")

    assert "5 accounts, 1 erased" in command("status", "--database", "payroll.db")[1]
    assert (0, "the next sync fetches it again\n", "") == command(*lift, "--account-id", account_id)
    assert (0, '{"lifted": false}\n', "") == command(*lift, "--account-id", account_id, "--json")
    assert command(*lift, "--end-user-id", "user")[0] == 2


def test_purge_of_what_is_old(copy: Callable[[], Path], command: Run):
    """`purge --before` removes what is from before a day, and no account."""
    path = copy()

    code, _, err = command("purge", "--database", "payroll.db", "--before", "9000-01-01", answer="yes\n")

    assert (0, 0, 6) == (code, count(path, "paystubs"), count(path, "accounts"))
    assert "everything from before 9000-01-01" in err


@pytest.mark.parametrize("more", [[], ["--account-id", "a", "--end-user-id", "b"]])
def test_purge_of_nothing_or_two_things(copy: Callable[[], Path], command: Run, more: list[str]):
    """`purge` wants exactly one of account, end user and day."""
    code, _, err = command("purge", "--database", "payroll.db", "--yes", *more)

    assert (2, "pinwheel-async: give one of --account-id, --end-user-id and --before\n") == (code, err)


def test_purge_without_that_inbox(copy: Callable[[], Path], command: Run, fake: FakePinwheel):
    """An inbox that is not there is wrong usage, and nothing is removed."""
    path = copy()

    code, _, err = command(
        *("purge", "--database", "payroll.db", "--inbox", "inbox.db", "--yes"),
        *("--account-id", fake.world.account_id(2)),
    )

    assert (2, "pinwheel-async: there is no inbox at inbox.db\n") == (code, err)
    assert count(path, "accounts") == 6


def test_tables_with_a_prefix(copy: Callable[[], Path], command: Run):
    """Every command on a copy finds its tables by the prefix that it is given, and only then."""
    copy()

    async def fill(url: str) -> None:
        sink = SqlSink(url, prefix="pw_")
        await sink.open()
        await sink.close(complete=True)

    asyncio.run(fill("sqlite:///payroll.db"))

    for name in (
        ["status"],
        ["export", "--to", "out", "--format", "csv"],
        ["purge", "--before", "2020-01-01", "--yes"],
    ):
        assert command(*name, "--database", "payroll.db", "--prefix", "pw_")[0] == 0
        code, _, err = command(*name, "--database", "payroll.db", "--prefix", "other_")
        assert (code, err.partition(":")[2].strip()[:21]) == (2, "there is no copy here")
    assert json.loads(command("status", "--database", "payroll.db", "--prefix", "pw_", "--json")[1])["accounts"] == 0
    assert json.loads(command("status", "--database", "payroll.db", "--json")[1])["accounts"] == 6
