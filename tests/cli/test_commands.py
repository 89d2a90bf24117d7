"""Command line as a process of its own, against a server on loopback."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import pinwheel_async
from pinwheel_async.cli._accounts import _row
from pinwheel_async.cli._render import print_rows
from pinwheel_async.models import Account
from pinwheel_async.products import PRODUCTS
from pinwheel_async.testing import FakePinwheel, Fault, make

from .terminal import on_terminal

ROOT = Path(pinwheel_async.__file__).parents[1]

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def complaint(done: Done) -> str:
    """Return the one line on stderr."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pinwheel-async: ")
    return line.removeprefix("pinwheel-async: ")


def test_accounts(run: Run, fake: FakePinwheel):
    """`accounts` prints a line for each account, whole values between tabs, for other programs."""
    done = run("accounts", "--base-url", fake.base_url)

    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [*fake.world.account_ids()] == [line[0] for line in lines]
    assert {6} == {len(line) for line in lines}
    assert all(datetime.fromisoformat(line[5]).tzinfo for line in lines)


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (200, ["account", "end user", "platform", "connected", "monitoring", "created"]),
        (70, ["account", "end user", "connected"]),
        (30, ["account", "end user"]),
    ],
)
def test_accounts_on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int, headings: list[str]):
    """A narrow terminal loses columns; no id is cut or folded."""
    made = make(Account, end_user_id="an-end-user")
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr("pinwheel_async.cli._render.Console", lambda **_: console)
    print_rows([_row(made)], omit=("platform", "monitoring", "created", "connected"))
    shown = console.file.getvalue()

    first_line = shown.splitlines()[1]
    assert headings == [heading.strip() for heading in first_line.split("\N{BOX DRAWINGS HEAVY VERTICAL}")[1:-1]]
    assert f" {made.id} " in shown
    assert " an-end-user " in shown


def test_rows_of_odd_text(capsys: pytest.CaptureFixture[str]):
    """What would break a line or a field becomes a blank."""
    print_rows([{"a": "x\ty\nz\x1b", "b": None, "c": True, "d": 7}], omit=())

    assert "x y z \t\tyes\t7\n" == capsys.readouterr().out


@pytest.mark.parametrize("place", ["argument", "variable"])
def test_proxy(run: Run, fake: FakePinwheel, place: str):
    """A command goes through the proxy to the base URL with a path that arguments or variables name."""
    base_url = "http://pinwheel.test/gateway/"
    if place == "argument":
        run("accounts", "--allow-http", "--base-url", base_url, "--proxy", fake.base_url)
    else:
        run("accounts", "--allow-http", PINWHEEL_BASE_URL=base_url, http_proxy=fake.base_url)

    # The fake is no proxy, so the answer is none; but it was asked as one.
    assert [request.path for request in fake.requests] == ["http://pinwheel.test/gateway/v1/accounts"]


def test_an_account_without_a_date(capsys: pytest.CaptureFixture[str]):
    """A null where the documentation says never leaves its field empty."""
    print_rows([_row(make(Account, created_at=None, end_user_id=None, connected=None))], omit=())
    fields = capsys.readouterr().out.rstrip("\n").split("\t")

    assert (make(Account).id, "", "", "") == (fields[0], fields[1], fields[3], fields[5])


def test_accounts_json(run: Run, fake: FakePinwheel):
    """`accounts --json` prints a list of accounts as the API sends them."""
    done = run("accounts", "--json", "--limit", "3", "--base-url", fake.base_url)

    assert [*fake.world.account_ids()][:3] == [account["id"] for account in json.loads(done.stdout)]


def test_more_accounts_than_a_page(run: Run):
    """`accounts --limit` reads as many pages as it needs."""
    with FakePinwheel(accounts=130) as fake:
        done = run("accounts", "--json", "--limit", "120", "--base-url", fake.base_url)

    assert len(json.loads(done.stdout)) == 120


@pytest.mark.parametrize(("flag", "expected"), [("--connected", True), ("--disconnected", False)])
def test_accounts_by_connection(run: Run, fake: FakePinwheel, flag: str, expected: bool):
    """`accounts` lists connected or disconnected accounts only, if it is told to."""
    fake.world.edit_account(fake.world.account_id(0), connected=True)
    fake.world.edit_account(fake.world.account_id(1), connected=False)

    done = run("accounts", "--json", flag, "--base-url", fake.base_url)

    assert {account["connected"] for account in json.loads(done.stdout)} == {expected}


def test_get(run: Run, fake: FakePinwheel):
    """`get` prints an account as the API sends it."""
    (account_id, *_) = fake.world.account_ids()
    done = run("get", "account", account_id, "--base-url", fake.base_url)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["id"] == account_id


@pytest.mark.parametrize("product", PRODUCTS)
def test_get_product(run: Run, fake: FakePinwheel, product: str):
    """`get` prints each product of an account: an object, or a line for each object of a list."""
    account_id = next(found for found in fake.world.account_ids() if fake.world.records(found, "paystubs"))
    done = run("get", product, account_id, "--base-url", fake.base_url)

    assert done.returncode in {0, 2}  # the made-up person may have no such data
    assert done.returncode == 0 or "answered 404" in complaint(done)
    for line in done.stdout.splitlines():
        assert json.loads(line)["id"]
    if product == "paystubs":
        assert len(done.stdout.splitlines()) == len(fake.world.records(account_id, "paystubs"))


def test_completion(run: Run, tmp_path: Path, environment: dict[str, str]):
    """`--install-completion` writes a script that the shell takes, and that knows the commands and their options."""
    done = run("--install-completion", "--shell", "bash", HOME=str(tmp_path))
    (script,) = tmp_path.rglob("completions/pinwheel-async")
    complete = """
        source "$0"; COMP_WORDS=(pinwheel-async li); COMP_CWORD=1; COMP_LINE="pinwheel-async li"; COMP_POINT=17
        $(complete -p pinwheel-async | grep -o -e '-F [^ ]*' | cut -c 4-)
        echo ${COMPREPLY[@]}
    """
    shown = subprocess.run(["bash", "-c", complete, script], capture_output=True, text=True, check=True)

    assert done.returncode == 0
    assert ["link-token", "listen"] == sorted(shown.stdout.split())
    assert "--shutdown-timeout-s" in script.read_text()


LINK_TOKEN = (
    "link-token",
    "--org-name",
    "Acme",
    "--solution",
    "Verify",
    "--feature",
    "paystubs",
    "--feature",
    "income",
)


def test_link_token(run: Run, fake: FakePinwheel):
    """`link-token` prints the token alone, and on stderr that it is a secret."""
    done = run(*LINK_TOKEN, "--end-user-id", "user_42", "--base-url", fake.base_url)

    assert done.returncode == 0
    assert len(done.stdout.split()) == 1
    assert "secret" in complaint(done)
    sent = json.loads(fake.requests[-1].body)
    assert (sent["features"], sent["end_user_id"]) == (["paystubs", "income"], "user_42")


def test_link_token_json(run: Run, fake: FakePinwheel):
    """`link-token --json` prints the whole answer."""
    done = run(*LINK_TOKEN, "--end-user-id", "user_42", "--json", "--base-url", fake.base_url)

    assert json.loads(done.stdout).keys() >= {"id", "token", "expires"}


def test_a_refused_argument(run: Run, fake: FakePinwheel):
    """What the API would refuse ends with 2 before anything is sent."""
    done = run(*LINK_TOKEN, "--base-url", fake.base_url)

    assert done.returncode == 2
    assert "end_user_id" in complaint(done)
    assert not fake.requests


@pytest.mark.parametrize(
    "arguments",
    [
        ["sync"],
        ["sync", "--database", "x", "--products", "paystub"],
        ["sync", "--database", "x", "--concurrency", "0"],
        ["sync", "--database", "x", "--requests-per-s", "0"],
        ["sync", "--database", "x", "--retry-failed", "--accounts", "a"],
        ["sync", "--database", "mysql://host/x"],
        ["accounts", "--limit", "0"],
        ["accounts", "--environment", "moon"],
        ["accounts", "--base-url", "http://example.com"],
        ["accounts", "--base-url", "https://me:planted@example.com"],
        ["accounts", "--proxy", "socks5://me:planted@example.com"],
        ["accounts", "--ca-file", "missing.pem"],
        ["accounts", "--client-certificate", "missing.pem"],
        ["accounts", "--client-key", "missing.pem"],
        ["nonsense"],
        ["demo", "--accounts", "0"],
    ],
)
def test_wrong_usage(run: Run, arguments: list[str]):
    """Wrong usage is one line on stderr and ends with 2."""
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert complaint(done)


def test_no_secret(run: Run):
    """Without a secret a command ends with 2 and says where it is looked for."""
    done = run("accounts", PINWHEEL_API_SECRET="")

    assert done.returncode == 2
    assert "PINWHEEL_API_SECRET" in complaint(done)


@pytest.mark.parametrize("command", [["accounts"], ["sync", "--database", "payroll.db"]])
def test_a_wrong_secret(run: Run, fake: FakePinwheel, command: list[str]):
    """A secret that is not accepted ends with 3, and is not printed."""
    done = run(*command, "--base-url", fake.base_url, PINWHEEL_API_SECRET="planted-secret")

    assert done.returncode == 3
    assert "401" in complaint(done)
    assert "planted" not in done.stdout + done.stderr


def test_no_server(run: Run):
    """A server that does not answer ends with 4."""
    done = run("accounts", "--base-url", "http://127.0.0.1:1")

    assert done.returncode == 4
    assert "got no reply from 127.0.0.1:1" in complaint(done)


def test_an_api_failure(run: Run, fake: FakePinwheel):
    """An answer that is no success ends with 4."""
    fake.script(Fault(status=409), operation="list_accounts")

    done = run("accounts", "--base-url", fake.base_url)

    assert done.returncode == 4
    assert "answered 409" in complaint(done)


def test_what_the_api_does_not_know(run: Run, fake: FakePinwheel):
    """What the API does not know ends with 2: the arguments name it."""
    fake.script(Fault(status=404), operation="list_accounts")

    done = run("accounts", "--base-url", fake.base_url)

    assert done.returncode == 2
    assert "answered 404" in complaint(done)


def test_a_wrong_request(run: Run, fake: FakePinwheel):
    """A request that the API refuses as wrong ends with 2, and names the documented fields that it names."""
    details = [{"name": name, "message": "planted"} for name in ("features", "cards.0.card_number", "tags.planted", "")]
    error = {"type": "INVALID_REQUEST_PARAMETERS", "code": "INVALID_FIELDS", "status_code": 400, "fields": details}
    fake.script(Fault(status=400, json={"error": error}), operation="list_accounts")

    done = run("accounts", "--base-url", fake.base_url)

    assert done.returncode == 2
    assert complaint(done).endswith("INVALID_FIELDS: see features, cards.0.card_number")
    assert "planted" not in done.stdout + done.stderr


def test_output_into_a_closed_pipe(environment: dict[str, str], fake: FakePinwheel, tmp_path: Path):
    """Output into a pipe that is closed early is no error."""
    command = f"{sys.executable} -W error -m pinwheel_async accounts --json --base-url {fake.base_url} | true"
    done = subprocess.run(  # a pipe, which only a shell makes so simply
        ["bash", "-o", "pipefail", "-c", command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_demo(run: Run, tmp_path: Path):
    """`demo` needs no key: it syncs a made-up workspace into a file, shows what it did and names the file."""
    done = run("demo", "--accounts", "30", PINWHEEL_API_SECRET="")

    assert (done.returncode, done.stderr) == (0, "")
    assert "30 accounts" in done.stdout
    assert "direct_deposit_allocations" in done.stdout
    assert "pinwheel_demo.db" in done.stdout.splitlines()[-1]
    connection = sqlite3.connect(tmp_path / "pinwheel_demo.db")
    assert connection.execute("SELECT count(*) FROM identities").fetchone() == (30,)
    connection.close()


def test_demo_twice(run: Run):
    """`demo` can be run again into the same file."""
    first, second = (run("demo", "--accounts", "5", "--database", "d.db") for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0)


def test_demo_on_a_terminal(environment: dict[str, str], tmp_path: Path):
    """On a terminal `demo` shows a bar while it runs."""
    command = [sys.executable, "-W", "error", "-m", "pinwheel_async", "demo", "--accounts", "60"]
    code, shown = on_terminal(command, environment, tmp_path)

    assert code == 0
    assert b"items" in shown
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}".encode() in shown


def test_help(run: Run):
    """The help lists the commands and explains the exit codes and where the secret comes from."""
    done = run("--help")

    assert done.returncode == 0
    assert all(word in done.stdout for word in ("accounts", "demo", "link-token", "sync", "PINWHEEL_API_SECRET"))
    assert "130 interrupted" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", ["accounts", "demo", "link-token", "sync"])
def test_help_of_a_command(run: Run, command: str):
    """Every command explains itself and its exit codes; no option takes the secret."""
    done = run(command, "--help")

    assert done.returncode == 0
    assert "Exit codes" in done.stdout
    assert "secret" not in "".join(line for line in done.stdout.splitlines() if "--" in line)


def test_version(run: Run):
    """`--version` prints the version of the library."""
    done = run("--version")

    assert done.returncode == 0
    assert done.stdout.strip()


def test_without_the_extra(environment: dict[str, str], tmp_path: Path):
    """Without its extra the command says what to install, and ends with 2."""
    code = "import sys; sys.modules['cyclopts'] = None; from pinwheel_async.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == "pinwheel-async needs its extra: pip install 'pinwheel-async[cli]'\n"


def test_other_modules_that_are_missing():
    """A module that is missing for another reason is not taken for the extra."""
    code = (
        "import sys; sys.modules['pinwheel_async.cli._render'] = None; sys.argv[1:] = ['demo']; "
        "from pinwheel_async.cli import main; main()"
    )
    variables: Any = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)

    assert "ModuleNotFoundError" in done.stderr
