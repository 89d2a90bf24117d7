"""Who may see the inspector, who may act, and what every answer is guarded by."""

import logging
import re

import pytest
from aiohttp import ClientSession, web

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import Inspector, MemoryInbox, Router, webhook_app
from pinwheel_async.webhooks._inspector import auth as _auth, throttle as _throttle

from .conftest import REVEAL, TOKEN

PAGES = ["", "?id=event-1", "accounts", "forget?id=event-1"]
ACTIONS = ["revive", "replay", "forget", "reveal"]
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"auth": None}, "auth must be a token"),
        ({"auth": ""}, "at least 16"),
        ({"auth": "x" * 15}, "at least 16"),
        ({"auth": "ü" * 16}, "ASCII"),
        ({"auth": 1}, "not int"),
        ({"auth": TOKEN, "reveal": "short"}, "reveal must be a token"),
        ({"auth": TOKEN, "reveal": TOKEN}, "different"),
        ({"auth": lambda _: True, "reveal": REVEAL}, "reveal goes with a token"),
    ],
)
def test_no_check(options, says):
    """An inspector is not made without a check, and no message says the token."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        Inspector(**options)

    assert TOKEN not in str(caught.value)


def test_arguments():
    """What is no inspector, and one without an inbox, are refused by name; its repr says nothing."""
    inspector = Inspector(auth=TOKEN)
    assert "<Inspector>" == repr(inspector)
    with pytest.raises(ConfigurationError, match="give webhook_app an inbox"):
        webhook_app(Router(), secrets=["a-secret-of-tests"], inspector=inspector)
    with pytest.raises(ConfigurationError, match=r"inspector must be an Inspector.*not str"):
        webhook_app(Router(), secrets=["a-secret-of-tests"], inbox=MemoryInbox(), inspector=TOKEN)
    with pytest.raises(ConfigurationError, match=r"readiness must be a Readiness.*not str"):
        Inspector(auth=TOKEN, readiness=TOKEN)
    with pytest.raises(ConfigurationError, match="inbox must be an inbox"):
        inspector.app("inbox.db")


async def test_off_by_default(mount):
    """A receiver has no inspector unless it is given one."""
    async with mount(Router(), inbox=MemoryInbox()) as sender:
        answer = await sender.send(b"", {}, path="/inspector/", method="GET")

    assert 404 == answer.status


async def test_without_login(inspect, body):
    """Without a login, programs get 401 and browsers the form, whatever they ask for; and no id is in the answer."""
    async with inspect(work=False) as client:
        await client.send(body(event_id="event-1"))
        for path in [*PAGES, "nothing-here"]:
            answer = await client.get(path)
            assert (401, "Bearer") == (answer.status, answer.headers["WWW-Authenticate"])
            assert "income.added" not in await answer.text()
        for path in PAGES:
            answer = await client.get(path, headers=BROWSER)
            assert (303, True) == (answer.status, answer.headers["Location"].startswith("login"))
        for path in [*ACTIONS, "logout"]:
            assert 401 == (await client.post(f"{path}?id=event-1", {})).status


async def test_headers(inspect):
    """Every answer keeps itself out of frames and caches, and runs no script but our own; also one that refuses."""
    async with inspect() as client:
        answers = [await client.get(path) for path in ("", "login", "style.css", "inspector.js")]
        await client.log_in()
        answers += [await client.get(path) for path in (*PAGES, "nothing-here")]
        answers += [await client.post("revive"), await client.post(""), await client.post("login", {"token": "x"})]

    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "DENY" == answer.headers["X-Frame-Options"]
        assert "no-store" == answer.headers["Cache-Control"]
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        assert "same-origin" == answer.headers["Referrer-Policy"]


async def test_login(inspect, caplog):
    """The right token begins a session, whose cookie no script and no other site gets; a wrong one is refused."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    async with inspect() as client:
        wrong = await client.post("login", {"token": f"{TOKEN}x"})
        right = await client.post("login", {"token": TOKEN, "following": "?state=dead"})
        page = await client.get()

    assert (403, 303, 200) == (wrong.status, right.status, page.status)
    assert "Set-Cookie" not in wrong.headers
    assert "./?state=dead" == right.headers["Location"]
    cookie = right.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie + caplog.text
    assert "refused: from 127.0.0.1" in caplog.text
    assert re.search(r"session [0-9a-f]{8} of the inspector began: from 127.0.0.1", caplog.text)


async def send_wrong_tokens(client, count, by):
    for _ in range(count):
        if by == "form":
            await client.post("login", {"token": f"{TOKEN}x"})
        else:
            await client.get(headers={"Authorization": f"Bearer {TOKEN}x"})


@pytest.mark.parametrize("by", ["form", "header"])
async def test_throttle(inspect, caplog, by):
    """After ten wrong tokens an address has to wait, also with the right one; who is logged in already need not."""
    async with inspect() as client:
        await client.log_in()
        await send_wrong_tokens(client, 9, by)
        before = await client.get(headers={"Authorization": f"Bearer {TOKEN}"})
        await send_wrong_tokens(client, 1, by)
        form = await client.post("login", {"token": TOKEN})
        header = await client.get(headers={"Authorization": f"Bearer {TOKEN}"})
        await send_wrong_tokens(client, 5, by)
        logged_in = await client.get()

    assert (200, 429, 429, 200) == (before.status, form.status, header.status, logged_in.status)
    assert 0 < int(form.headers["Retry-After"]) <= 60
    assert 10 == caplog.text.count("a login to the inspector was refused")
    assert 1 == caplog.text.count("has to wait for 60 s")
    assert TOKEN not in caplog.text


async def test_end_of_the_throttle(inspect, monkeypatch):
    """Once the time is over, the right token logs in."""
    async with inspect() as client:
        await send_wrong_tokens(client, 10, "form")
        monkeypatch.setattr(_throttle, "PERIOD_S", 0)
        answer = await client.post("login", {"token": TOKEN})

    assert 303 == answer.status


def test_throttle_by_address(time):
    """Each address counts by itself, of IPv6 each network; the first of too many is forgotten; a period is a minute."""
    throttle = _throttle.LoginThrottle(time.clock.monotonic)
    for address in ("10.0.0.1", "2001:db8:1:2::1"):
        for _ in range(10):
            throttle.note_wrong(address)
    addresses = ("10.0.0.1", "10.0.0.2", "2001:db8:1:2:3::9", "2001:db8:1:3::1", "::1", None)
    found = [throttle.wait_s(address) for address in addresses]
    time.advance(59.5)
    late = throttle.wait_s("10.0.0.1")
    time.advance(0.5)
    over = throttle.wait_s("10.0.0.1")
    throttle.note_wrong("10.0.0.1")
    for number in range(_throttle.MAX_ADDRESSES + 5):
        throttle.note_wrong(f"192.0.2.{number}")

    assert [60, 0, 60, 0, 0, 0] == found
    assert (1, 0, 0) == (late, over, throttle.wait_s("10.0.0.1"))
    assert _throttle.MAX_ADDRESSES == len(throttle._wrong)


async def test_no_throttle_of_a_function(inspect):
    """Where a function of the application decides, headers of its own are none of the inspector's business."""

    async def nobody(_):
        return False

    async with inspect(auth=nobody, reveal=None) as client:
        await send_wrong_tokens(client, 11, "header")
        answer = await client.get(headers={"Authorization": "Bearer x"})

    assert 403 == answer.status


async def test_secure_cookie(inspect):
    """Where a proxy says that it is spoken to over TLS, the cookie is sent over TLS only."""
    async with inspect() as client:
        answer = await client.post("login", {"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})

    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("following", ["//evil.example/", "https://evil.example", "/\\evil.example", "?a\r\nX: y", "x"])
async def test_following(inspect, following):
    """A login leads to a page of the inspector, and nowhere else."""
    async with inspect() as client:
        answer = await client.post("login", {"token": TOKEN, "following": following})

    assert (303, "./") == (answer.status, answer.headers["Location"])
    assert "X" not in answer.headers


async def test_logout(inspect):
    """After a logout the cookie is gone."""
    async with inspect() as client:
        csrf = await client.log_in()
        assert 303 == (await client.post("logout", {"csrf": csrf})).status
        assert 401 == (await client.get()).status


async def test_bearer(inspect):
    """A program sends the token with each request, and needs no form; a wrong token is not saved by a session."""
    async with inspect() as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert 200 == (await client.get(headers=headers)).status
        assert 303 == (await client.post("revive?id=event-1", headers=headers)).status
        assert 403 == (await client.post("reveal?id=event-1", headers=headers)).status
        await client.log_in()
        assert 401 == (await client.get(headers={"Authorization": "Bearer wrong"})).status


@pytest.mark.parametrize("way", ["level", "expiry", "mac", "other"])
async def test_forged_session(inspect, way, monkeypatch):
    """A session that was changed, is over, or was signed with another token is none."""
    async with inspect() as client:
        answer = await client.post("login", {"token": TOKEN})
        name, session = answer.headers["Set-Cookie"].split(";")[0].split("=", 1)
        level, until, nonce, mac = session.split(".")
        client.session.cookie_jar.clear()
        match way:
            case "level":
                session = f"reveal.{until}.{nonce}.{mac}"
            case "expiry":
                session = f"{level}.{int(until) + 1}.{nonce}.{mac}"
            case "mac":
                session = f"{level}.{until}.{nonce}.{'ü' * 64}"
            case "other":
                session = _auth.Guard("another-token-of-tests", None).log_in("another-token-of-tests")
        assert 401 == (await client.get(headers={"Cookie": f"{name}={session}"})).status


async def test_session_ends(inspect, monkeypatch):
    """A session ends by itself."""
    monkeypatch.setattr(_auth, "SESSION_S", -1)
    async with inspect() as client:
        await client.post("login", {"token": TOKEN})
        assert 401 == (await client.get()).status


async def test_level_has_its_own_key(inspect):
    """Who knows the token that looks cannot sign a session that reveals, whether or not there is another token."""
    for reveal in (None, REVEAL):
        async with inspect(reveal=reveal) as client:
            guard = _auth.Guard(TOKEN, reveal)
            signed = guard._new_session("view").rpartition(".")[0].replace("view.", "reveal.")
            forged = f"{signed}.{guard._sign('view', signed)}"
            assert 401 == (await client.get(headers={"Cookie": f"{guard.cookie}={forged}"})).status


@pytest.mark.parametrize("action", [*ACTIONS, "logout"])
async def test_csrf(inspect, action, body):
    """A form without the token of the login, or with that of another login, changes nothing."""
    async with inspect(work=False) as client:
        await client.send(body(event_id="event-1"))
        other = await client.log_in()
        await client.log_in(REVEAL)
        for form in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": other}):
            assert 403 == (await client.post(f"{action}?id=event-1", form)).status
        assert 200 == (await client.get("?id=event-1")).status
        assert 'id="delivery"' in await (await client.get("?id=event-1")).text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_other_site(inspect, headers):
    """What a browser says another site has sent is refused, even with the token, and a login, too."""
    async with inspect() as client:
        csrf = await client.log_in()
        assert 403 == (await client.post("revive?id=event-1", {"csrf": csrf}, headers=headers)).status
        assert 403 == (await client.post("login", {"token": TOKEN}, headers=headers)).status


@pytest.mark.parametrize("has_origin", [False, True])
async def test_own_site(inspect, has_origin):
    """What a page of the inspector sends is taken, also where a proxy has changed the name of the host."""
    async with inspect() as client:
        csrf = await client.log_in()
        origin = {"Origin": client.url.rpartition("/hooks")[0]}
        behind_proxy = {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"}
        headers = origin if has_origin else behind_proxy
        assert 303 == (await client.post("revive?id=event-1", {"csrf": csrf}, headers=headers)).status


async def test_get_changes_nothing(inspect, body):
    """No link changes anything, and none reveals."""
    async with inspect() as client:
        await client.log_in(REVEAL)
        assert [405, 405, 405] == [(await client.get(f"{path}?id=e")).status for path in ("revive", "replay", "reveal")]


@pytest.mark.parametrize("more", [b"&a=" + b"x" * 20_000, b"\xff\xfe", b"&a=1" * 20], ids=["long", "odd", "many"])
async def test_odd_form(inspect, more):
    """A form that is too long, or none, is one without a token."""
    async with inspect() as client:
        form, kind = f"csrf={await client.log_in()}".encode(), "application/x-www-form-urlencoded"
        for sent, status in ((form + more, 403), (form, 303)):
            answer = await client.post("revive?id=event-1", sent, headers={"Content-Type": kind})
            assert status == answer.status
        assert 403 == (await client.post("revive?id=event-1", form, headers={"Content-Type": "text/x"})).status


@pytest.mark.parametrize(
    ("answer", "status"), [(True, 200), ("reveal", 200), (False, 403), (None, 403), (object(), 403)]
)
async def test_function(inspect, answer, status):
    """A function of the application decides; only True and "reveal" let in, and nothing that is merely true."""

    async def auth(request: web.Request):
        assert request.headers["X-User"] == "ada"
        return answer

    async with inspect(auth=auth, reveal=None) as client:
        assert status == (await client.get(headers={"X-User": "ada"})).status


async def test_function_fails(inspect, caplog):
    """A function that raises lets nobody in, and its text reaches no log."""

    async def auth(request: web.Request):
        raise LookupError("a value that is nobody's business")

    async with inspect(auth=auth, reveal=None) as client:
        answer = await client.get()

    assert 403 == answer.status
    assert "auth of the inspector failed: LookupError" in caplog.text
    assert "nobody's business" not in caplog.text


async def test_function_csrf(inspect, body):
    """With a login of the application, forms are bound to a cookie that the inspector gives."""

    async def auth(request: web.Request):
        return "reveal"

    async with inspect(auth=auth, reveal=None, work=False) as client:
        await client.send(body(event_id="event-1"))
        page = await (await client.get("?id=event-1")).text()
        csrf = re.search(r'name="csrf" value="([^"]*)"', page)[1]
        assert 303 == (await client.post("revive?id=event-1", {"csrf": csrf})).status
        client.session.cookie_jar.clear()
        assert 403 == (await client.post("revive?id=event-1", {"csrf": csrf})).status
        assert "Log out" not in page


async def test_without_slash(inspect):
    """The address without a slash at the end leads to the one with it, from which the links are right."""
    async with (
        inspect() as client,
        ClientSession() as session,
        session.get(client.url, allow_redirects=False) as answer,
    ):
        assert (303, "inspector/") == (answer.status, answer.headers["Location"])
