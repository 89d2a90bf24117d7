"""Commands around webhooks, as processes of their own, with real sockets and real files."""

import asyncio
import errno
import gzip
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from attrs import evolve

import pinwheel_async
from pinwheel_async.cli import _server
from pinwheel_async.cli._send import _make
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import EVENTS, AccountAdded, PaystubsAdded, decode_event
from pinwheel_async.testing import FakePinwheel, SignedDelivery, make_event, signed_delivery
from pinwheel_async.webhooks import PostgresInbox, SqliteInbox, sign
from pinwheel_async.webhooks._delivery import make_delivery

from .fork_server import ForkServer

ROOT = Path(pinwheel_async.__file__).parents[1]
SECRET = "secret-of-a-test"
COMMAND = (sys.executable, "-W", "error", "-m", "pinwheel_async")

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def variables(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PINWHEEL_API_SECRET": SECRET, "PYTHONPATH": str(ROOT), "COLUMNS": "200"} | more


@pytest.fixture
def run(tmp_path: Path, fork_server: ForkServer) -> Run:
    """Run a command line in an empty folder."""

    def call(*arguments: str, **more: str) -> Done:
        return fork_server.run(arguments, variables(**more), tmp_path)

    return call


def complaint(done: Done) -> str:
    """Return the one line on stderr."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pinwheel-async: ")
    return line.removeprefix("pinwheel-async: ")


class Listening:
    """A `listen` that runs, and every line that it has written."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "listen", "--port", "0", *options],
            env=variables(),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._lines: Queue[str] = Queue()
        self._threads = [
            Thread(target=self._read, args=(self.process.stdout, self.out)),
            Thread(target=self._read, args=(self.process.stderr, self.err)),
        ]
        for thread in self._threads:
            thread.start()
        self.url, self.health = re.findall(r"http://[^ ,]+", self.line("listening"))

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            into.append(line.rstrip("\n"))
            self._lines.put(into[-1])

    def line(self, part: str) -> str:
        """Wait for a line of either stream with this in it; what comes before is passed over."""
        while part not in (line := self._lines.get(timeout=30)):
            pass
        return line

    def send(self, delivery: SignedDelivery) -> int:
        request = urllib.request.Request(self.url, data=delivery.body, headers=dict(delivery.headers))  # noqa: S310  # ours
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # ours
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=30)
        for thread in self._threads:
            thread.join(timeout=30)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()
        return code


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """One `listen` for all tests that only send something to it."""
    running = Listening(tmp_path_factory.mktemp("listen"))
    yield running
    assert running.end() == 0


def delivery(**overrides: Any) -> SignedDelivery:
    """Sign a new event."""
    event = make_event(PaystubsAdded, **{"event_id": str(uuid4()), **overrides})
    return signed_delivery(event, secret=SECRET)


def test_listen_prints_what_send_sends(run: Run, listening: Listening):
    """`send` prints the status and ends with 0; `listen` prints time, name, ids, outcome and numbers of the event."""
    done = run("send", "paystubs.added", listening.url, "--account-id", "acc-1", "--count", "3")

    assert (done.returncode, done.stderr) == (0, "")
    status, name, event_id = done.stdout.split(",")[0].split()
    assert (status, name) == ("200", "paystubs.added")
    time, _, rest = listening.line(event_id).partition(" ")
    assert rest == f"paystubs.added {event_id} account_id=acc-1 outcome=success count=3 sync_status=complete"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(time)) < timedelta(minutes=5)


def test_send_of_a_failure(run: Run, listening: Listening):
    """`send --outcome error` sends a job that failed, and `--json` prints the answer for programs."""
    done = run("send", "shifts.added", listening.url, "--outcome", "error", "--json")

    sent = json.loads(done.stdout)
    assert sent == {"status": 200, "event": "shifts.added", "event_id": sent["event_id"]}
    assert listening.line(sent["event_id"]).endswith("outcome=error")


def test_send_again(run: Run, listening: Listening):
    """An event with a known id is answered 200 and printed once."""
    event_id = str(uuid4())
    last = delivery()

    codes = [run("send", "income.added", listening.url, "--event-id", event_id).returncode for _ in range(2)]
    listening.send(last)

    assert codes == [0, 0]
    listening.line(json.loads(last.body)["event_id"])
    assert len([line for line in listening.out if event_id in line]) == 1


def test_a_wrong_signature(run: Run, listening: Listening):
    """A receiver that refuses makes `send` end with 4; `listen` says on stderr that it refused."""
    done = run("send", "income.added", listening.url, PINWHEEL_API_SECRET="another")

    assert done.returncode == 4
    assert done.stdout.startswith("401 ")
    assert "pinwheel-async: refused a delivery: 401 signature_wrong:" in listening.line("refused")


def test_what_something_in_between_adds(listening: Listening):
    """A delivery that was compressed before it was signed, with the longest tracing header, is taken."""
    sample = signed_delivery(make_event(PaystubsAdded), secret=SECRET)
    content = gzip.compress(sample.body)
    headers = {
        "content-encoding": "gzip",
        "baggage": "a=" + "x" * 8190,
        "x-timestamp": "1773760000",
        "x-pinwheel-signature": sign(SECRET, "1773760000", content),
    }
    request = urllib.request.Request(listening.url, content, headers)  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # ours
        assert response.status == 200


def test_health(listening: Listening):
    """`listen` says where its health can be asked for."""
    with urllib.request.urlopen(listening.health, timeout=30) as response:  # noqa: S310  # ours
        assert response.status == 200


PLANTED = {
    "id": "planted",
    "name": "planted",
    "timestamp": "2026-01-01T00:00:00Z",
    "outcome": "planted",
    "error_code": "planted",
    "error_type": "planted",
    "end_user_id": "planted",
    "platform_name": "planted",
    "customer_id": "planted",
    "tags": {"planted": "planted"},
    "params": {"sync_status": "planted", "planted": "planted"},
}


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("paystubs.added", {}),
        ("paystubs.added", {"params": {"count": "planted"}}),
        ("paystubs.added", {"timestamp": "planted"}),
        ("account.added", {"created_at": "planted"}),
        ("something.new", {}),
    ],
)
def test_no_values(listening: Listening, event: str, changes: dict[str, Any]):
    """No value of a payload is printed, whether it can be decoded or not."""
    body, last = signed(event, PLANTED | {"account_id": "acc-9"} | changes), delivery(account_id="acc-9")

    assert [listening.send(body), listening.send(last)] == [200, 200]

    listening.line(json.loads(last.body)["event_id"])
    assert "planted" not in "\n".join([*listening.out, *listening.err])


def signed(event: str, payload: dict[str, Any]) -> SignedDelivery:
    body = json.dumps({"event_id": str(uuid4()), "event": event, "payload": payload}).encode()
    stamp = "1767225600"
    headers = {"x-pinwheel-signature": sign(SECRET, stamp, body), "x-timestamp": stamp}
    return SignedDelivery(headers=headers, body=body)


def test_listen_json(tmp_path: Path):
    """`listen --json` prints an object per line, and the place where it listens elsewhere."""
    running = Listening(tmp_path, "--json", "--path", "/hooks/")
    sent = delivery(account_id="acc-1")
    running.send(sent)
    line = running.line(json.loads(sent.body)["event_id"])
    running.end()

    assert running.out == [line]
    said = json.loads(line)
    assert (said["event"], said["account_id"], said["outcome"]) == ("paystubs.added", "acc-1", "success")
    assert running.url.endswith("/hooks")


@pytest.mark.parametrize(("how", "code", "last"), [("SIGTERM", 0, "listening"), ("SIGINT", 130, "interrupted")])
def test_the_end_of_listen(tmp_path: Path, how: str, code: int, last: str):
    """SIGTERM ends `listen` with 0, SIGINT with 130; both without a traceback."""
    running = Listening(tmp_path)

    assert running.end(signal.Signals[how]) == code
    assert last in running.err[-1]
    assert len(running.err) == (1 if code == 0 else 2)


def test_listen_into_a_closed_pipe(tmp_path: Path, run: Run):
    """When its output is closed, `listen` ends with 0, and what it could not print stays in the inbox."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "listen", "--port", "0"],
        env=variables(),
        cwd=tmp_path,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.close(ours)
    assert process.stderr
    url = re.findall(r"http://[^ ,]+", process.stderr.readline())[0]
    run("send", "income.added", url)
    _, stderr = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "Traceback" not in stderr
    assert json.loads(run("inbox", "counts", "--inbox", "listen.db", "--json").stdout)["waiting"] == 1


def test_listen_beside_a_receiver(run: Run, inbox: dict[str, str]):
    """`listen` takes nothing from the inbox of another receiver: it ends with 4 and says to choose another file."""
    done = run("listen", "--inbox", "inbox.db")

    assert done.returncode == 4
    assert "belongs to the consumer 'receiver' and not to 'listen'" in complaint(done)
    assert "choose another file" in complaint(done)
    assert counts(run) == (1, 1, 2)


def test_a_port_that_is_taken(run: Run):
    """A port that is taken is one line, and ends with 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("listen", "--port", str(taken.getsockname()[1]))

    assert done.returncode == 2
    assert "cannot listen" in complaint(done)
    assert os.strerror(errno.EADDRINUSE) in complaint(done)


@pytest.mark.parametrize("arguments", [["listen"], ["inbox", "counts"]])
def test_an_unusable_inbox(run: Run, tmp_path: Path, arguments: list[str]):
    """A file that is no inbox is one line, and ends with 4."""
    (tmp_path / "inbox.db").write_bytes(b"no database" * 100)

    done = run(*arguments, "--inbox", "inbox.db")

    assert done.returncode == 4
    assert complaint(done)


LOCAL = "http://127.0.0.1:1/x"
HOME = ["--url", "https://example.com/hooks", "--name", "app"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["listen", "--path", "hooks"],
        ["listen", "--path", "/"],
        ["listen", "--port", "70000"],
        ["send", "income.added"],
        ["send", "income.added", "http://example.com/x"],
        ["send", "income.added", "ftp://127.0.0.1/x"],
        ["send", "income.added", "https:///x"],
        ["send", "income.added", "http://127.0.0.1:99999/x"],
        ["send", "income.changed", LOCAL],
        ["send", "income.added", LOCAL, "--count", "1"],
        ["send", "paystubs.added", LOCAL, "--outcome", "error", "--count", "1"],
        ["send", "documents.added", LOCAL, "--account-id", "x"],
        ["send", "account.added", LOCAL, "--outcome", "error"],
        ["inbox", "counts"],
        ["inbox", "show", "--state", "alive"],
        ["inbox", "purge"],
        ["webhooks", "plan", *HOME],
        ["webhooks", "plan", *HOME, "--events", "paystub"],
        ["webhooks", "plan", *HOME, "--events", "accounts.added"],
        ["webhooks", "plan", *HOME, "--router", "json"],
        ["webhooks", "plan", *HOME, "--router", "json:loads"],
        ["webhooks", "plan", *HOME, "--router", "json:nothing"],
        ["webhooks", "plan", *HOME, "--router", "no_such_module:router"],
        ["webhooks", "check", "--url", "http://example.com", "--name", "app", "--events", "all"],
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, arguments: list[str]):
    """Wrong usage is one line on stderr and ends with 2; nothing is left behind."""
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert complaint(done)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["listen"], ["send", "income.added", LOCAL]])
def test_no_secret(run: Run, arguments: list[str]):
    """Without a secret nothing is received or sent, and the exit code is 2."""
    done = run(*arguments, PINWHEEL_API_SECRET="")

    assert done.returncode == 2
    assert "PINWHEEL_API_SECRET" in complaint(done)


def test_send_without_receiver(run: Run):
    """A receiver that is not there ends with 4."""
    done = run("send", "income.added", LOCAL)

    assert done.returncode == 4
    assert complaint(done).startswith(f"the receiver at {urlsplit(LOCAL).netloc} gave no answer, after ")


@pytest.mark.parametrize("outcome", [None, "error", "pending"])
def test_every_event_can_be_sent(outcome: Any):
    """`send` makes a body that can be decoded for every event, however the job ended."""
    names = [name for name, kind in EVENTS.items() if outcome is None or hasattr(kind, "outcome")]
    bodies = [signed_delivery(_make(name, "id", None, outcome, None), secret=SECRET).body for name in names]

    assert len(names) > 20
    assert names == [getattr(decode_event(body).event, "event", None) for body in bodies]


@pytest.fixture
def inbox(tmp_path: Path) -> dict[str, str]:
    """Leave an inbox with two dead deliveries, one that is done and one that waits; give their ids by state."""

    async def fill() -> dict[str, str]:
        inbox = SqliteInbox(tmp_path / "inbox.db", keep_bodies_s=1_000)
        await inbox.open()
        ids: dict[str, str] = {}
        for number, state in enumerate(("dead", "dead2", "done", "waiting")):
            event = make_event(AccountAdded, event_id=f"id-{state}", account_id=f"acc-{number}", end_user_id="planted")
            made = signed_delivery(event, secret=SECRET)
            at = datetime.now(UTC) - timedelta(hours=2)
            await inbox.put(make_delivery(made.headers, made.body, key="0", received_at=at))
            ids[state] = event.event_id
        for claim in await inbox.claim(3, lease_s=60):
            if claim.delivery.event_id == "id-done":
                await inbox.done(claim)
            else:
                await inbox.fail(claim, reason="ValueError", retry_in_s=None)
        await inbox.close()
        return ids

    return asyncio.run(fill())


def counts(run: Run) -> tuple[int, int, int]:
    found = json.loads(run("inbox", "counts", "--json").stdout)
    return found["waiting"], found["done"], found["dead"]


def test_inbox_counts(run: Run, inbox: dict[str, str]):
    """`inbox counts` prints a number per state, and how long the oldest has waited."""
    done = run("inbox", "counts")

    assert (done.returncode, done.stderr) == (0, "")
    numbers = ["waiting", "1", "claimed", "0", "done", "1", "dead", "2"]
    assert numbers == done.stdout.split()[:8]
    assert "2 h ago" in done.stdout


def test_looking_at_an_inbox_changes_nothing(run: Run, inbox: dict[str, str], tmp_path: Path):
    """`inbox counts` and `inbox show` leave every byte, and no file that was not there."""
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for arguments in (["counts"], ["show"], ["show", "--state", "waiting"], ["show", "--state", "done"]):
        assert run("inbox", *arguments).returncode == 0

    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}


def test_inbox_counts_json(run: Run, inbox: dict[str, str]):
    """`inbox counts --json` prints the same for programs."""
    assert counts(run) == (1, 1, 2)


@pytest.fixture
def encrypted_inbox_key(tmp_path: Path) -> str:
    """Leave an encrypted inbox; give its key as the variable holds it."""
    key = bytes(range(32))

    async def fill() -> None:
        inbox = SqliteInbox(tmp_path / "inbox.db", key=key)
        await inbox.open()
        made = signed_delivery(make_event(AccountAdded), secret=SECRET)
        await inbox.put(make_delivery(made.headers, made.body, key="0"))
        await inbox.close()

    asyncio.run(fill())
    return b64encode(key).decode()


def test_encrypted_inbox(run: Run, encrypted_inbox_key: str):
    """The key of an encrypted inbox comes from the environment."""
    done = run("inbox", "counts", "--json", PINWHEEL_INBOX_KEY=encrypted_inbox_key)

    assert (1, 0) == (json.loads(done.stdout)["waiting"], done.returncode)


def test_encrypted_inbox_without_key(run: Run, encrypted_inbox_key: str):
    """Without its key an encrypted inbox is only looked at, and the message says what is missing."""
    done = run("inbox", "revive")

    assert done.returncode == 4
    assert "encrypted: open it with its key" in done.stderr


@pytest.mark.parametrize("key", ["planted", "cGxhbnRlZA==", "ü"])
def test_odd_inbox_key(run: Run, encrypted_inbox_key: str, key: str):
    """A malformed key is refused, without being shown."""
    done = run("inbox", "counts", PINWHEEL_INBOX_KEY=key)

    assert done.returncode == 2
    assert "PINWHEEL_INBOX_KEY must be the 32 bytes" in done.stderr
    assert key not in done.stderr


def test_inbox_rotate_key(run: Run, encrypted_inbox_key: str):
    """`inbox rotate-key` encrypts with the new key what the old one encrypted; then the new one alone opens it."""
    new = b64encode(b"n" * 32).decode()
    done = run("inbox", "rotate-key", PINWHEEL_INBOX_KEY=new, PINWHEEL_INBOX_OLD_KEYS=encrypted_inbox_key)
    after = run("inbox", "counts", PINWHEEL_INBOX_KEY=new)

    assert (done.returncode, done.stdout, done.stderr) == (0, "encrypted 1\n", "")
    assert after.returncode == 0


def test_inbox_rotate_key_leaves_something(run: Run, encrypted_inbox_key: str, tmp_path: Path):
    """What could not be encrypted anew is counted, and ends with 1."""
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as connection:
        connection.execute("UPDATE body SET content = x'00'")
        connection.commit()
    new = b64encode(b"n" * 32).decode()
    old = f"{b64encode(b'x' * 32).decode()} {encrypted_inbox_key}"
    done = run("inbox", "rotate-key", "--json", PINWHEEL_INBOX_KEY=new, PINWHEEL_INBOX_OLD_KEYS=old)

    assert (done.returncode, json.loads(done.stdout)) == (1, {"encrypted": 0, "left": 1})


def test_odd_old_key(run: Run, encrypted_inbox_key: str):
    """A malformed old key is refused, without being shown."""
    done = run("inbox", "counts", PINWHEEL_INBOX_KEY=encrypted_inbox_key, PINWHEEL_INBOX_OLD_KEYS="planted")

    assert done.returncode == 2
    assert "PINWHEEL_INBOX_OLD_KEYS must be the 32 bytes" in complaint(done)
    assert "planted" not in done.stderr


def test_inbox_check(run: Run, encrypted_inbox_key: str):
    """`inbox check` of a sound inbox says so and ends with 0."""
    done = run("inbox", "check", PINWHEEL_INBOX_KEY=encrypted_inbox_key)

    assert (done.returncode, done.stdout, done.stderr) == (0, "1 deliveries, 1 bodies: all is well\n", "")


@pytest.mark.parametrize("json_option", [(), ("--json",)])
def test_inbox_check_finds_something(run: Run, inbox: dict[str, str], tmp_path: Path, json_option: tuple[str, ...]):
    """`inbox check` names what is wrong and ends with 1."""
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as connection:
        connection.execute("UPDATE state_count SET waiting = 9")
        connection.commit()
    done = run("inbox", "check", *json_option)

    assert (done.returncode, done.stderr) == (1, "")
    assert "9 deliveries are counted as waiting, and there are 1" in done.stdout


def test_inbox_check_of_nothing(run: Run):
    """Without a file `inbox check` ends with 2, and makes none."""
    done = run("inbox", "check")

    assert done.returncode == 2
    assert "no inbox at inbox.db" in complaint(done)


def test_inbox_backup_and_move(run: Run, inbox: dict[str, str], tmp_path: Path):
    """`inbox backup` copies, `inbox move` moves, and neither replaces a file."""
    copied = run("inbox", "backup", "copy.db")
    again = run("inbox", "backup", "copy.db")
    moved = run("inbox", "move", "moved.db")
    checked = [run("inbox", "check", "--inbox", name).returncode for name in ("copy.db", "moved.db")]

    assert (copied.returncode, copied.stdout) == (0, f"copied {(tmp_path / 'copy.db').stat().st_size:,} bytes\n")
    assert (again.returncode, moved.returncode, moved.stdout) == (2, 0, "moved\n")
    assert checked == [0, 0]
    assert not (tmp_path / "inbox.db").exists()


def test_inbox_show(run: Run, inbox: dict[str, str]):
    """`inbox show` lists ids, ordering keys, states, moments and reasons, and nothing of a body."""
    done = run("inbox", "show")

    assert (done.returncode, done.stderr) == (0, "")
    assert all(text in done.stdout for text in (*inbox.values(), "acc-0", "account.added", "ValueError"))
    assert all(datetime.fromisoformat(line.split("\t")[5]).tzinfo for line in done.stdout.splitlines())
    assert "planted" not in done.stdout


def test_inbox_show_some(run: Run, inbox: dict[str, str]):
    """`inbox show --state --limit --json` lists that many in that state, newest first."""
    done = run("inbox", "show", "--state", "dead", "--limit", "1", "--json")

    (entry,) = json.loads(done.stdout)
    assert (entry["event_id"], entry["state"], entry["attempts"]) == ("id-dead2", "dead", 1)
    assert "planted" not in done.stdout


def test_inbox_revive_one(run: Run, inbox: dict[str, str]):
    """`inbox revive ID` lets this one wait again."""
    done = run("inbox", "revive", inbox["dead"])

    assert (done.returncode, done.stdout) == (0, "revived 1\n")
    assert counts(run) == (2, 1, 1)


def test_inbox_revive_all(run: Run, inbox: dict[str, str]):
    """`inbox revive` lets all that are dead wait again."""
    done = run("inbox", "revive", "--json")

    assert json.loads(done.stdout) == {"revived": 2}
    assert counts(run) == (3, 1, 0)


@pytest.mark.parametrize("option", ["--account", "--ordering-key"])
def test_inbox_purge_of_an_account(run: Run, inbox: dict[str, str], option: str):
    """`inbox purge --account` forgets everything of an account, and says so before."""
    done = run("inbox", "purge", option, "acc-0")

    assert (done.returncode, done.stdout) == (0, "purged 1\n")
    assert done.stderr == "purges 1 deliveries of 1 accounts or other owners (1 dead; account.added 1)\n"
    assert counts(run) == (1, 1, 1)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--before", "1h"], ["id-waiting", "id-done", "id-dead2", "id-dead"]),
        (["--before", "3h"], []),
        (["--after", "3h", "--state", "dead", "--state", "done"], ["id-done", "id-dead2", "id-dead"]),
        (["--before", "2000-01-01"], []),
        (["--after", "2000-01-01T00:00Z", "--account", "acc-1"], ["id-dead2"]),
        (["--event", "account.*", "--reason", "Value"], ["id-dead2", "id-dead"]),
        (["--event", "paystubs.*"], []),
        (["id-done", "id-dead", "unknown"], ["id-done", "id-dead"]),
    ],
)
def test_inbox_show_chosen(run: Run, inbox: dict[str, str], options: list[str], ids: list[str]):
    """States, events, accounts, reasons, moments and ids choose what is listed."""
    done = run("inbox", "show", *options, "--json")

    assert [entry["event_id"] for entry in json.loads(done.stdout)] == ids


@pytest.mark.parametrize("command", ["revive", "purge", "replay"])
def test_inbox_dry_run_writes_nothing(run: Run, inbox: dict[str, str], tmp_path: Path, command: str):
    """`--dry-run` leaves every file of the inbox as it is."""

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.glob("inbox.db*")}

    before = files()
    done = run("inbox", command, "--reason", "ValueError", "--dry-run")

    assert done.returncode == 0
    assert files() == before


@pytest.mark.parametrize("command", ["revive", "purge"])
def test_inbox_dry_run(run: Run, inbox: dict[str, str], command: str):
    """`--dry-run` says what would be done by state, event and number of accounts, and changes nothing."""
    done = run("inbox", command, "--reason", "ValueError", "--dry-run")

    text = "2 deliveries of 2 accounts or other owners (2 dead; account.added 2)"
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"would {command} {text}\n")
    assert counts(run) == (1, 1, 2)


def test_inbox_dry_run_json(run: Run, inbox: dict[str, str]):
    """`--dry-run --json` says the same for programs."""
    preview = json.loads(run("inbox", "purge", "--all", "--dry-run", "--json").stdout)

    expected = {
        "deliveries": 4,
        "states": {"dead": 2, "done": 1, "waiting": 1},
        "events": {"account.added": 4},
        "ordering_keys": 4,
    }
    assert preview.items() >= expected.items()


def test_inbox_revive_chosen(run: Run, inbox: dict[str, str]):
    """`inbox revive` lets only those wait that are meant, and says so before."""
    done = run("inbox", "revive", "--account", "acc-1")

    assert (done.stdout, done.stderr) == (
        "revived 1\n",
        "revives 1 deliveries of 1 accounts or other owners (1 dead; account.added 1)\n",
    )
    assert counts(run) == (2, 1, 1)


def test_inbox_purge_of_everything(run: Run, inbox: dict[str, str]):
    """`inbox purge --all` forgets everything."""
    done = run("inbox", "purge", "--all", "--json")

    assert json.loads(done.stdout) == {"purged": 4}
    assert counts(run) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["purge"], "say what to forget"),
        (["purge", "--all", "--state", "dead"], "--all goes with nothing"),
        (["revive", "--state", "done"], "only dead deliveries can be revived"),
        (["show", "--before", "planted"], "--before is a day, a moment or an age"),
        (["show", "--after", "99999999999d"], "--after is a day, a moment or an age"),
        (["show", "--event", "pay*"], "paystubs.*"),
    ],
)
def test_inbox_senseless_choice(run: Run, inbox: dict[str, str], arguments: list[str], text: str):
    """A choice that says nothing, too much or nonsense is one line, ends with 2 and changes nothing."""
    done = run("inbox", *arguments)

    assert done.returncode == 2
    assert text in complaint(done)
    assert "planted" not in done.stderr
    assert counts(run) == (1, 1, 2)


def test_inbox_body(run: Run, inbox: dict[str, str]):
    """`inbox body` prints the body as it came, says that it was recorded, and `inbox readings` lists that."""
    done = run("inbox", "body", "id-dead")
    (reading,) = json.loads(run("inbox", "readings", "--json").stdout)

    assert (done.returncode, json.loads(done.stdout)["payload"]["end_user_id"]) == (0, "planted")
    assert done.stderr == f"recorded: read by {reading['user']}\n"
    assert reading["event_id"] == "id-dead"
    assert "id-dead" in run("inbox", "readings").stdout


def test_inbox_body_of_nothing(run: Run, inbox: dict[str, str]):
    """An event without a body is one line, and ends with 2."""
    done = run("inbox", "body", "unknown")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no body of this event" in complaint(done)


def test_inbox_replay(run: Run, inbox: dict[str, str]):
    """`inbox replay` lets what has ended wait again, and says so before."""
    would = run("inbox", "replay", "--after", "3h", "--state", "dead", "--dry-run")
    done = run("inbox", "replay", "--after", "3h", "--state", "dead")

    assert would.stdout.startswith("would replay 2 deliveries of 2 accounts")
    assert done.stderr.startswith("replays 2 deliveries of 2 accounts")
    assert (done.returncode, done.stdout) == (0, "replayed 2\n")
    assert counts(run)[2] == 0


def test_inbox_replay_by_some_handlers(run: Run, inbox: dict[str, str], tmp_path: Path):
    """`inbox replay --handler` names the only handlers that are to run."""
    done = run("inbox", "replay", "id-dead", "--handler", "store", "--handler", "mail")
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as connection:
        (progress,) = connection.execute("SELECT progress FROM delivery WHERE event_id = 'id-dead'").fetchone()

    assert (done.returncode, done.stdout) == (0, "replayed 1\n")
    assert json.loads(progress) == {"only": ["mail", "store"]}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [([], "say what to replay"), (["--state", "waiting"], "only deliveries that are done or dead")],
)
def test_inbox_senseless_replay(run: Run, inbox: dict[str, str], arguments: list[str], text: str):
    """A replay of nothing said, or of what has not ended, is refused."""
    done = run("inbox", "replay", *arguments)

    assert done.returncode == 2
    assert text in complaint(done)


@pytest.fixture
def fake() -> Iterator[FakePinwheel]:
    """A fake whose secret is ours."""
    with FakePinwheel(accounts=1, api_secret=SECRET) as running:
        yield running


def webhooks(run: Run, fake: FakePinwheel, command: str, *more: str) -> Done:
    url = "https://example.com/planted-path"
    return run("webhooks", command, "--url", url, "--name", "app", "--base-url", fake.base_url, *more)


def subscribed(fake: FakePinwheel) -> list[str]:
    """Return the events of the only webhook."""
    (webhook,) = fake.world.resources.webhooks.values()
    return webhook["enabled_events"]


def test_webhooks_plan(run: Run, fake: FakePinwheel):
    """`webhooks plan` prints what is to be done without the path of the URL, and changes nothing."""
    done = webhooks(run, fake, "plan", "--events", "paystubs", "account.added")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "create https://example.com/…#app: 7 events, version 2025-07-08\n"
    assert not fake.world.resources.webhooks


def test_webhooks_apply(run: Run, fake: FakePinwheel):
    """`webhooks apply` makes the webhook and says so; again it changes nothing."""
    first, second = (webhooks(run, fake, "apply", "--events", "income.added") for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)
    assert "created, 0 deleted" in first.stdout
    assert "unchanged, 0 deleted" in second.stdout
    assert subscribed(fake) == ["income.added"]


def test_webhooks_of_a_router(run: Run, fake: FakePinwheel, tmp_path: Path):
    """`--router` takes the events from the handlers of a router in the current folder."""
    code = """
    from pinwheel_async.events import ShiftsAdded
    from pinwheel_async.webhooks import Router

    router = Router()

    @router.on(ShiftsAdded)
    async def on_shifts(event): ...
    """
    (tmp_path / "app.py").write_text("\n".join(line.strip() for line in code.splitlines()), encoding="utf-8")

    done = webhooks(run, fake, "apply", "--router", "app:router", "--json")

    report = json.loads(done.stdout)
    assert (report["created"], report["deleted"], report["notes"]) == (True, [], [])
    assert subscribed(fake) == ["shifts.added"]


def test_a_router_that_fails(run: Run, fake: FakePinwheel, tmp_path: Path):
    """A module that fails is one line with the line that failed, without the text of its error, and ends with 2."""
    (tmp_path / "app.py").write_text("raise ValueError('planted')", encoding="utf-8")

    done = webhooks(run, fake, "plan", "--router", "app:router")

    assert done.returncode == 2
    assert complaint(done).startswith("cannot take the router from app:router: ValueError at ")
    assert complaint(done).endswith("> app.<module> (app.py:1)")
    assert "planted" not in done.stderr


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("app", "a router is given as module:name, such as shop.hooks:router"),
        ("nowhere:router", "cannot take the router from nowhere:router: there is no module nowhere"),
        ("app:router", "cannot take the router from app:router: there is no module planted_dependency"),
        ("plain:router", "plain:router is no Router"),
        ("plain:sys.path", "plain:sys.path is no Router"),
    ],
)
def test_no_router(run: Run, fake: FakePinwheel, tmp_path: Path, place: str, problem: str):
    """Where there is no router, `webhooks` and `work` say the same in one line, and end with 2."""
    (tmp_path / "app.py").write_text("import planted_dependency", encoding="utf-8")
    (tmp_path / "plain.py").write_text("import sys", encoding="utf-8")
    planned = webhooks(run, fake, "plan", "--router", place)
    worked = run("work", "--handlers", place)

    assert [(2, problem)] * 2 == [(done.returncode, complaint(done)) for done in (planned, worked)]


def test_unknown_host():
    """An address whose name is not found is named with the reason of the resolver."""
    with (
        pytest.raises(ConfigurationError, match=r"^cannot listen on nowhere:80: Name or service not known$"),
        _server.listening("nowhere", 80),
    ):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_webhooks_check(run: Run, fake: FakePinwheel):
    """`webhooks check` names what is wrong and ends with 1."""
    done = webhooks(run, fake, "check", "--events", "all")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("missing: ")
    assert "planted" not in done.stdout


def test_webhooks_check_of_nothing_wrong(run: Run, fake: FakePinwheel):
    """Where nothing is wrong `webhooks check` ends with 0."""
    webhooks(run, fake, "apply", "--events", "all")

    done = webhooks(run, fake, "check", "--events", "all", "--json")

    assert done.returncode == 0
    assert json.loads(done.stdout) == {"ok": True, "problems": []}


def test_webhooks_without_room(run: Run, fake: FakePinwheel):
    """Ten webhooks of other people leave no room: one line, and ends with 2."""
    for number in range(10):
        fake.subscribe(f"https://example.com/{number}")

    done = webhooks(run, fake, "apply", "--events", "all")

    assert done.returncode == 2
    assert "10 webhooks" in complaint(done)


def test_demo_shows_webhooks(run: Run):
    """`demo` prints how many webhooks came of each kind, and that all were handled."""
    done = run("demo", "--accounts", "5", PINWHEEL_API_SECRET="")

    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines() if ".*" in line]
    assert ["account.*", "5", "5"] in rows
    assert all(received == handled for _, received, handled in rows)


@pytest.mark.parametrize("command", ["listen", "send", "inbox", "inbox purge", "webhooks", "webhooks apply"])
def test_help(run: Run, command: str):
    """Every command explains itself and its exit codes."""
    done = run(*command.split(), "--help")

    assert done.returncode == 0
    assert "Exit codes" in done.stdout


async def test_inbox_in_postgres(run: Run, shared_postgres: str):
    """The inbox commands take the URL of a database: counts, show, revive, replay, check and purge work over it."""
    inbox = PostgresInbox(shared_postgres, schema="commands", keep_bodies_s=1_000)
    await inbox.open()
    for number in range(3):
        made = delivery()
        event = make_delivery(made.headers, made.body, key="0")
        await inbox.put(evolve(event, event_id=f"event-{number}", ordering_key=f"key-{number}"))
    done, dead, _ = await inbox.claim(3, lease_s=0)
    await inbox.done(done)
    await inbox.fail(dead, reason="ValueError", retry_in_s=None)
    await inbox.close()
    place = ("--inbox", shared_postgres, "--inbox-schema", "commands")

    def said(*arguments: str) -> Any:
        found = run("inbox", *arguments, *place, "--json")
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    assert [1, 1] == [said("counts")[state] for state in ("done", "dead")]
    assert ["event-1"] == [entry["event_id"] for entry in said("show", "--state", "dead")]
    assert {"revived": 1} == said("revive")
    assert {"replayed": 1} == said("replay", "--all")
    assert said("check")["ok"]
    assert {"purged": 3} == said("purge", "--all")
    refused = run("inbox", "backup", "copy.db", *place)
    assert (2, True) == (refused.returncode, "pg_dump" in refused.stderr)
