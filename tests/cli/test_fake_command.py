"""The command `fake`, driven as a program in another language would: raw HTTP, and a receiver that knows only hmac."""

import hashlib
import hmac
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import Factory, define


@define
class Hook:
    """A receiver on a socket, without this library."""

    url: str = ""
    arrivals: list[tuple[dict[str, str], bytes]] = Factory(list)

    @property
    def events(self) -> list[str]:
        return [json.loads(body)["event"] for _, body in self.arrivals]

    @property
    def outcomes(self) -> list[str | None]:
        return [json.loads(body)["payload"].get("outcome") for _, body in self.arrivals]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver that answers 200."""
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class names it
            body = self.rfile.read(int(self.headers["content-length"]))
            made.arrivals.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@define
class Program:
    """The running command."""

    base_url: str
    api_secret: str
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask, as curl does."""
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=60)
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else None

    def drive(self, name: str, **body: Any) -> Any:
        """Use a control endpoint."""
        status, answer = self.ask("POST", f"/_fake/{name}", body)
        assert status == 200, answer
        return answer

    def get(self, path: str) -> Any:
        """Read from the API."""
        status, answer = self.ask("GET", path, **{"x-api-secret": self.api_secret, "Pinwheel-Version": "2025-07-08"})
        assert status == 200, answer
        return answer


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    """Run the command until it is told to stop."""
    command = [sys.executable, "-m", "pinwheel_async", "fake", "--port", "0", "--accounts", "3", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Program(**json.loads(process.stdout.readline()), process=process)
        finally:
            process.kill()


@pytest.fixture
def program(hook: Hook) -> Iterator[Program]:
    """A fake whose time stands still on a day, which delivers to the receiver."""
    with running("--speed", "0", "--today", "2026-05-05", "--deliver-to", hook.url) as started:
        yield started


def is_authentic(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Verify a delivery as the documentation of the API says, with nothing but hmac."""
    message = b"v2:" + headers["x-timestamp"].encode() + b":" + body
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers["x-pinwheel-signature"], f"v2={digest}")


def test_three_scenarios(program, hook):
    """Raw HTTP plays three scenarios; the deliveries are signed as documented, and the API has what they announce."""
    happy = program.drive("connect", scenario="happy", end_user_id="user_1")
    program.drive("advance", seconds=happy["duration_s"])
    paystubs = program.get(f"/v1/accounts/{happy['account_ids'][0]}/paystubs?limit=100")["data"]
    of_happy = len(hook.arrivals)
    pending = program.drive("connect", scenario="pending_then_error")
    program.drive("advance", seconds=pending["duration_s"])
    outcomes = [outcome for event, outcome in zip(hook.events, hook.outcomes, strict=True) if event == "income.added"]
    again = program.drive("connect", scenario="reauthentication_needed")
    program.drive("advance", seconds=again["duration_s"])
    account = program.get(f"/v1/accounts/{again['account_ids'][0]}")["data"]

    assert all(is_authentic(program.api_secret, headers, body) for headers, body in hook.arrivals)
    assert not is_authentic("another", *hook.arrivals[0])
    assert "paystubs.fully_synced" in hook.events[:of_happy]
    assert 31 >= len(paystubs) > 25
    assert "2026-05-01" == paystubs[0]["pay_date"]
    assert ["success", "pending", "error"] == outcomes
    assert "account.monitoring_status.updated" == hook.events[-1]
    assert "user_action_required" == account["monitoring_status"]


def test_faults_and_redelivery(program, hook):
    """Faults are ordered and cleared, a delivery is sent again, and everything is reset."""
    before = program.get("/v1/accounts")["meta"]
    program.drive("faults", operation="list_accounts", times=2, faults=[{"status": 503, "retry_after_s": 2}])
    headers = {"x-api-secret": program.api_secret, "Pinwheel-Version": "2025-07-08"}
    first = program.ask("GET", "/v1/accounts", **headers)[0]
    cleared = program.ask("DELETE", "/_fake/faults")[0]
    second = program.ask("GET", "/v1/accounts", **headers)[0]
    played = program.drive("connect")
    event_id = json.loads(hook.arrivals[0][1])["event_id"]
    program.drive("redeliver", event_id=event_id)
    status, deliveries = program.ask("GET", f"/_fake/deliveries?event_id={event_id}")
    many = program.get("/v1/accounts")["meta"]["count"]
    state = program.drive("reset")
    headers_after = [body for _, body in hook.arrivals]
    program.drive("advance", seconds=3_600)

    assert (503, 200, 200) == (first, cleared, second)
    assert hook.arrivals[0][1] == hook.arrivals[1][1]
    assert (200, [1, 1], [200, 200]) == (
        status,
        [delivery["attempt"] for delivery in deliveries],
        [delivery["status"] for delivery in deliveries],
    )
    assert (3, 4, 3) == (before["count"], many, state["accounts"])
    assert state["now"].startswith("2026-05-05T12:00:00")
    assert len(headers_after) == len(hook.arrivals)
    assert 404 == program.ask("GET", f"/v1/accounts/{played['account_ids'][0]}", **headers)[0]
    assert 1 == len(state["webhooks"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "connect", {"scenario": "hapy"}, 400, "there is no scenario hapy; did you mean happy?"),
        ("POST", "connect", {"account_id": "nobody"}, 400, "no account nobody"),
        ("POST", "connect", {"scenari": "happy"}, 400, "there is no field scenari; did you mean scenario?"),
        ("POST", "advance", {}, 400, "seconds"),
        ("POST", "advance", {"seconds": "1"}, 400, "$.seconds"),
        ("POST", "advance", {"seconds": -1}, 400, "time goes ahead only"),
        ("POST", "advance", {"seconds": 1e300}, 400, "too large"),
        ("POST", "advance", {"seconds": 1e12}, 400, "out of range"),
        ("POST", "advance", [1], 400, "not a JSON object"),
        ("POST", "faults", {"faults": [{"status": 500}], "operation": "list_paystub"}, 400, "mean list_paystubs?"),
        ("POST", "faults", {"faults": [{"stats": 500}]}, 400, "there is no field stats; did you mean status?"),
        ("POST", "faults", {"faults": [{}]}, 400, "at least one part"),
        ("POST", "redeliver", {"event_id": "nothing"}, 400, "no event nothing was sent"),
        ("POST", "webhook-faults", {"lose": 2}, 400, "from 0 to 1"),
        ("POST", "deliver", {"event": "income.aded"}, 400, "there is no event income.aded; did you mean income.added?"),
        ("GET", "deliveries?even=x", None, 400, "there is no filter even; did you mean event?"),
        ("POST", "advanc", {}, 404, "did you mean advance?"),
        ("GET", "advance", None, 405, "POST"),
    ],
)
def test_mistakes(mistaken, method, path, body, status, said):
    """A mistake is answered with what is wrong, and what was probably meant."""
    got, answer = mistaken.ask(method, f"/_fake/{path}", body)

    assert (status, True) == (got, said in answer["error"]), answer


@pytest.fixture(scope="module")
def mistaken() -> Iterator[Program]:
    """A fake for questions that change nothing."""
    with running("--speed", "0") as started:
        yield started


def test_other_site(mistaken):
    """A page of another site cannot drive it; its own page can."""
    own = mistaken.base_url

    assert 403 == mistaken.ask("POST", "/_fake/advance", {"seconds": 0}, Origin="https://example.com")[0]
    assert 200 == mistaken.ask("POST", "/_fake/advance", {"seconds": 0}, Origin=own)[0]


def test_link_stand_in(program, hook):
    """The stand-in for Link takes a Link token once, finds employers, and connects whom the token names."""
    status, made = program.ask(
        *("POST", "/v1/link_tokens"),
        {"org_name": "Example", "solution": "Verify", "features": ["paystubs"], "end_user_id": "user_7"},
        **{"x-api-secret": program.api_secret, "Pinwheel-Version": "2025-07-08"},
    )
    token = made["data"]["token"]
    early = program.ask("POST", "/_fake/link/login", {"token": token, "scenario": "happy"})
    first = program.drive("link/open", token=token)
    second = program.drive("link/open", token=token)
    unknown = program.drive("link/open", token="nonsense")
    (employer, *_) = program.drive("link/search", words="hospital")
    wrong = program.drive("link/login", token=token, scenario="wrong_password", employer_id=employer["id"])
    right = program.drive("link/login", token=token, scenario="happy", employer_id=employer["id"])
    program.drive("advance", seconds=60)
    (account_id,) = right["account_ids"]
    employment = program.get(f"/v1/accounts/{account_id}/employment")["data"]
    added = json.loads(hook.arrivals[0][1])["payload"]

    assert (200, 400) == (status, early[0])
    assert ("happy", False) == (next(iter(first["scenarios"])), first["skips_search"])
    assert ("usedLinkToken", "invalidLinkTokenSignature") == (second["error"]["code"], unknown["error"]["code"])
    assert ["login_attempt", "error"] == [event["name"] for event in wrong["events"]]
    assert ["login_attempt", "login", "success"] == [event["name"] for event in right["events"]]
    assert ("user_7", account_id, made["data"]["id"]) == (
        *(added["end_user_id"], added["account_id"], added["link_token_id"]),
    )
    assert employer["name"] == employment["employer_name"]


def test_pages(mistaken):
    """Pages and scripts are served with a policy that lets nothing in from elsewhere."""
    connection = http.client.HTTPConnection(urlsplit(mistaken.base_url).netloc, timeout=60)
    policies = []
    for name in ("", "control.js", "style.css", "link", "link.js", "modal.js"):
        connection.request("GET", f"/_fake/{name}")
        answer = connection.getresponse()
        assert (200, True) == (answer.status, len(answer.read()) > 200), name
        policies.append(answer.headers.get("Content-Security-Policy"))
    connection.close()

    assert "frame-ancestors 'none'" in policies[0]
    assert [True, True] == [policy.startswith("default-src 'none'") for policy in policies if policy]


def test_accelerated(hook):
    """With `--speed` a session of forty seconds is over soon, and Link tokens expire by the same clock."""
    with running("--speed", "600", "--deliver-to", hook.url) as program:
        program.drive("connect")
        deadline = time.monotonic() + 120
        while "earnings_stream.payouts.refreshed" not in hook.events and time.monotonic() < deadline:
            time.sleep(0.05)
        status, token = program.ask(
            *("POST", "/v1/link_tokens"),
            {"org_name": "Example", "solution": "Verify", "features": ["paystubs"], "end_user_id": "user_1"},
            **{"x-api-secret": program.api_secret, "Pinwheel-Version": "2025-07-08"},
        )
        program.drive("advance", seconds=3_600)
        opened = program.ask("POST", "/_fake/link/open", {"token": token["data"]["token"]})[1]

    assert "earnings_stream.payouts.refreshed" in hook.events
    assert (200, "invalidLinkToken") == (status, opened["error"]["type"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_stops(number, code):
    """A signal ends it without a traceback."""
    with running() as program:
        program.process.send_signal(number)
        _, errors = program.process.communicate(timeout=60)

    assert (code, False) == (program.process.returncode, "Traceback" in errors)


def test_taken_port(mistaken):
    """A port that is taken, and a URL on another machine, are named in one line."""
    port = str(urlsplit(mistaken.base_url).port)
    command = [sys.executable, "-m", "pinwheel_async", "fake"]
    taken = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
    elsewhere = subprocess.run(
        [*command, "--port", "0", "--deliver-to", "http://example.com"], capture_output=True, text=True, check=False
    )

    assert (2, f"pinwheel-async: cannot listen on 127.0.0.1:{port}: Address already in use\n") == (
        taken.returncode,
        taken.stderr,
    )
    assert (2, 1) == (elsewhere.returncode, elsewhere.stderr.count("\n"))
