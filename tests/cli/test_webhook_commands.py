"""The commands around webhooks, as processes of their own, with real sockets and real files."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

import pinwheel_async
from pinwheel_async.cli._send import _make
from pinwheel_async.events import EVENTS, AccountAdded, PaystubsAdded, decode_event
from pinwheel_async.testing import FakePinwheel, SignedDelivery, make_event, signed_delivery
from pinwheel_async.webhooks import SqliteInbox, sign
from pinwheel_async.webhooks._delivery import make_delivery

ROOT = Path(pinwheel_async.__file__).parents[1]
SECRET = "secret-of-a-test"
COMMAND = (sys.executable, "-W", "error", "-m", "pinwheel_async")

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def variables(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PINWHEEL_API_SECRET": SECRET, "PYTHONPATH": str(ROOT), "COLUMNS": "200"} | more


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command line in an empty folder."""

    def call(*arguments: str, **more: str) -> Done:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=variables(**more),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

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
    assert listening.line("refused") == "pinwheel-async: refused a delivery: signature wrong"


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


def test_listen_that_nobody_reads(tmp_path: Path, run: Run):
    """When nobody reads its output any more, `listen` ends with 0, and what it could not print stays in the inbox."""
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
    assert json.loads(run("inbox", "counts", "--json").stdout)["waiting"] == 1


def test_a_port_that_is_taken(run: Run):
    """A port that is taken is one line, and ends with 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("listen", "--port", str(taken.getsockname()[1]))

    assert done.returncode == 2
    assert "cannot listen" in complaint(done)


@pytest.mark.parametrize("arguments", [["listen"], ["inbox", "counts"]])
def test_an_unusable_inbox(run: Run, tmp_path: Path, arguments: list[str]):
    """A file that is no inbox is one line, and ends with 4."""
    (tmp_path / "inbox.db").write_bytes(b"no database" * 100)

    done = run(*arguments)

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


def test_send_to_nobody(run: Run):
    """A receiver that is not there ends with 4."""
    done = run("send", "income.added", LOCAL)

    assert (done.returncode, complaint(done)) == (4, "the receiver gave no answer")


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


def test_inbox_counts_json(run: Run, inbox: dict[str, str]):
    """`inbox counts --json` prints the same for programs."""
    assert counts(run) == (1, 1, 2)


@pytest.fixture
def sealed(tmp_path: Path) -> str:
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


def test_encrypted_inbox(run: Run, sealed: str):
    """The key of an encrypted inbox comes from the environment."""
    done = run("inbox", "counts", "--json", PINWHEEL_INBOX_KEY=sealed)

    assert (1, 0) == (json.loads(done.stdout)["waiting"], done.returncode)


def test_encrypted_inbox_without_key(run: Run, sealed: str):
    """Without its key an encrypted inbox stays shut, and the message says what is missing."""
    done = run("inbox", "counts")

    assert done.returncode == 4
    assert "encrypted: open it with its key" in done.stderr


@pytest.mark.parametrize("key", ["planted", "cGxhbnRlZA==", "ü"])
def test_odd_inbox_key(run: Run, sealed: str, key: str):
    """What is no key is refused, without being shown."""
    done = run("inbox", "counts", PINWHEEL_INBOX_KEY=key)

    assert done.returncode == 2
    assert "PINWHEEL_INBOX_KEY must be the 32 bytes" in done.stderr
    assert key not in done.stderr


def test_inbox_show(run: Run, inbox: dict[str, str]):
    """`inbox show` lists ids, lanes, states, ages and reasons, and nothing of a body."""
    done = run("inbox", "show")

    assert (done.returncode, done.stderr) == (0, "")
    assert all(one in done.stdout for one in (*inbox.values(), "acc-0", "account.added", "2 h", "ValueError"))
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


def test_inbox_purge_of_a_lane(run: Run, inbox: dict[str, str]):
    """`inbox purge --lane` forgets everything of an account."""
    done = run("inbox", "purge", "--lane", "acc-0")

    assert (done.returncode, done.stdout) == (0, "purged 1\n")
    assert counts(run) == (1, 1, 1)


@pytest.mark.parametrize(("days", "purged"), [("0", 1), ("7", 0)])
def test_inbox_purge_of_what_is_done(run: Run, inbox: dict[str, str], days: str, purged: int):
    """`inbox purge --done-before-days` forgets only what was done so long ago."""
    done = run("inbox", "purge", "--done-before-days", days, "--json")

    assert json.loads(done.stdout) == {"purged": purged}
    assert counts(run) == (1, 1 - purged, 2)


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
    (webhook,) = fake.world.desk.webhooks.values()
    return webhook["enabled_events"]


def test_webhooks_plan(run: Run, fake: FakePinwheel):
    """`webhooks plan` prints what is to be done without the path of the URL, and changes nothing."""
    done = webhooks(run, fake, "plan", "--events", "paystubs", "account.added")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "create https://example.com/…#app: 7 events, version 2025-07-08\n"
    assert not fake.world.desk.webhooks


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
    """A module that fails is one line without the text of its error, and ends with 2."""
    (tmp_path / "app.py").write_text("raise ValueError('planted')", encoding="utf-8")

    done = webhooks(run, fake, "plan", "--router", "app:router")

    assert done.returncode == 2
    assert complaint(done) == "cannot take the router from app:router: ValueError"


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
