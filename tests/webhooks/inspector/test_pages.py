"""What the pages show and do, over each of the inboxes; nothing hostile gets through, and no value unless revealed."""

import json
import logging
import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from attrs import evolve
from yarl import URL

from pinwheel_async.errors import InboxError
from pinwheel_async.events import decode_event
from pinwheel_async.webhooks import DeliveryFilter, MemoryInbox, Readiness, SqliteInbox
from pinwheel_async.webhooks._delivery import make_delivery
from pinwheel_async.webhooks._inspector import app as _app
from pinwheel_async.webhooks._inspector.delivery import failures
from pinwheel_async.webhooks._inspector.view import PAGE_ROWS

from .conftest import ACCOUNT, REVEAL, TOKEN

VALUE = "a-value-that-is-nobodys-business"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def inbox(request, any_inbox):
    """Each of the inboxes, in fake time; the receiver opens it."""
    return any_inbox(request.param)


@pytest.fixture
def stored(body, time):
    """Put a delivery as if it had come."""

    async def stored(inbox, event_id, event="income.added", account_id=ACCOUNT, **payload):
        content = body(event, event_id=event_id, account_id=account_id, **payload)
        await inbox.put(make_delivery({}, content, key="secret-1", received_at=time.clock.now()))

    return stored


async def die(inbox, reason="store: LookupError at shop.store (shop.py:7)", progress=None):
    """Let what is due fail for good."""
    (claim,) = await inbox.claim(1, lease_s=10)
    await inbox.fail(claim, reason=reason, retry_in_s=None, progress=progress)


async def read(client, path="", headers=None):
    """Return a page, and its text without markup."""
    answer = await client.get(path, headers=headers)
    assert 200 == answer.status
    page = (await answer.text()).replace("<wbr>", "")
    return page, unescape(re.sub(r"<[^>]+>", " ", page))


class Elements(HTMLParser):
    """The elements of a page, as a browser finds them: their names, and the names of their attributes."""

    def __init__(self, page):
        super().__init__()
        self.all, self.scripts = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, [key for key, _ in attrs]))
        if tag == "script":
            self.scripts.add(dict(attrs).get("src"))


def links(page):
    return [unescape(found) for found in re.findall(r'<td class="event" role="cell"><a href="([^"]+)#detail"', page)]


async def test_list(inspect, inbox, stored, time):
    """Deliveries are listed newest first with moment, event, shortened account, state and attempts; the head counts."""
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        await die(inbox)
        time.advance(60)
        await stored(inbox, "event-2", "shifts.added")
        page, text = await read(client)

    assert ["./?id=event-2", "./?id=event-1"] == links(page)
    assert ACCOUNT not in text
    assert re.search(r"income\.added\s+dead\s+2026-01-01 00:00:00\s+Attempts\s+1\s+7f3e9a52…9c11", text)
    assert re.search(r"Waiting\s+1\s+Claimed\s+0\s+Dead\s+1\s+Done\s+0", text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=dead", [1]),
        ("state=waiting", [2, 3]),
        ("event=shifts.added", [2]),
        ("event=shifts.*", [2]),
        ("account=another", [3]),
        ("before=2026-01-01T00:00:30", [1]),
        ("state=dead&event=shifts.added", []),
        ("page=x&id=", [1, 2, 3]),
    ],
)
async def test_filters(inspect, inbox, stored, time, query, found):
    """A plain form filters by state, event, account and moment; its fields keep what was asked for."""
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        await die(inbox)
        time.advance(60)
        await stored(inbox, "event-2", "shifts.added")
        await stored(inbox, "event-3", account_id="another")
        page, _ = await read(client, f"?{query}")

    assert [f"event-{number}" for number in reversed(found)] == [link.rpartition("=")[2] for link in links(page)]
    if query.startswith("event="):
        assert f'value="{query.removeprefix("event=")}"' in page


@pytest.mark.parametrize(
    ("query", "says"),
    [("state=lost", "the states of deliveries are"), ("event=*", "named whole"), ("before=tomorrow", "given in UTC")],
)
async def test_wrong_filter(inspect, query, says):
    """A filter that means nothing is said to be wrong, and lists nothing."""
    async with inspect() as client:
        await client.log_in()
        page, text = await read(client, f"?{query}")

    assert says in text
    assert [] == links(page)


async def test_paging(inspect, inbox, stored, time, monkeypatch):
    """Pages lead to every delivery, none twice; behind the last that is counted, by the moment."""
    monkeypatch.setattr("pinwheel_async.webhooks._inspector.view.MAX_PAGE", 2)
    monkeypatch.setattr("pinwheel_async.webhooks._inspector.pages.MAX_PAGE", 2)
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        for number in range(2 * PAGE_ROWS + 10):
            await stored(inbox, f"event-{number:03}")
            time.advance(0.25)  # several come in one second
        path, seen, pages = "", [], 0
        while path is not None:
            page, _ = await read(client, path.removeprefix("./"))
            found = [link.rpartition("=")[2] for link in links(page)]
            seen += [event_id for event_id in found if event_id not in seen]
            older = re.search(r'<a href="([^"]+)" rel="next">', page)
            path = unescape(older[1]) if older else None
            pages += 1

    assert pages >= 3
    assert [f"event-{number:03}" for number in range(2 * PAGE_ROWS + 9, -1, -1)] == seen


async def test_delivery(inspect, inbox, stored, time):
    """One delivery is shown with its failures down to file and line, what each handler did, and when it is due."""
    reason = "store: LookupError at shop.store (shop.py:7) > db.write (db.py:9), from OSError at db.open (db.py:2)"
    progress = b'{"shop.mail":{"returned":true},"shop.store":{"attempts":2,"backoff_s":0.0}}'
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        await stored(inbox, "event-2")
        (claim,) = await inbox.claim(1, lease_s=10)
        await inbox.fail(claim, reason=f"{reason}; count: KeyError", retry_in_s=90, progress=progress)
        page, text = await read(client, "?id=event-1")
        _, behind = await read(client, "?id=event-2")

    lines = ["LookupError", "shop.store (shop.py:7)", "db.write (db.py:9)", "from OSError", "db.open (db.py:2)"]
    stack = "".join(f"<li><code>{line}</code></li>" for line in lines)
    assert f'Handler <code>store</code></h4><ol class="stack">{stack}</ol>' in page
    assert 'Handler <code>count</code></h4><ol class="stack"><li><code>KeyError</code></li></ol>' in page
    assert re.search(r"shop\.mail\s+returned, and does not run again", text)
    assert re.search(r"shop\.store\s+failed 2 times", text)
    assert re.search(r"Next attempt\s+in [12] min", text)
    assert ACCOUNT in text
    assert re.search(r"Next attempt\s+after an earlier delivery of its account", behind)


def test_failures():
    """A reason is taken apart into handlers and lines of their chains; what cannot be read has no handler."""
    group = "f: ExceptionGroup at a.f (a.py:1) of [ValueError at a.g (a.py:2); KeyError]; a.<locals>.g: timeout: no end"
    assert [
        ("f", ["ExceptionGroup", "a.f (a.py:1) of [ValueError", "a.g (a.py:2); KeyError]"]),
        ("a.<locals>.g", ["timeout: no end"]),
    ] == failures(group)
    assert [("", ["payload.id: not text"]), ("", ["payload.count: not a whole number"])] == failures(
        "payload.id: not text; payload.count: not a whole number"
    )
    assert [("", ["the process ended 5 times while it ran"])] == failures("the process ended 5 times while it ran")
    assert [("f", ["KeyError"])] == failures("f: KeyError")


async def test_unstorable_query(inspect, inbox):
    """A URL with characters that no inbox can hold finds nothing, and is no error."""
    async with inspect(inbox=inbox) as client:
        await client.log_in()
        for odd in ("%00", "%ff", "%ED%A0%80", "%F0%9F", "x" * 5000):
            for name in ("id", "account", "event", "before", "state", "said"):
                answer = await client.session.get(URL(f"{client.url}/?{name}={odd}", encoded=True))
                assert 200 == answer.status


async def test_unknown_delivery(inspect, inbox):
    """A delivery that is not stored is said to be so, and there is nothing to be done with it."""
    async with inspect(inbox=inbox) as client:
        csrf = await client.log_in(REVEAL)
        _, text = await read(client, "?id=event-1")
        assert "not stored" in text
        assert 404 == (await client.get("forget?id=event-1")).status
        assert 404 == (await client.post("reveal?id=event-1", {"csrf": csrf})).status
        for action in ("revive", "replay", "forget"):
            answer = await client.post(f"{action}?id=event-1", {"csrf": csrf})
            assert "said=nothing" in answer.headers["Location"]


async def test_revive(inspect, inbox, stored, caplog):
    """A dead delivery is revived, and no other; the audit log says which, by whom, from where."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in()
        for event_id in ("event-1", "event-2"):
            await stored(inbox, event_id)
            await die(inbox)
        answer = await client.post("revive?id=event-1&state=dead", {"csrf": csrf})
        assert "./?state=dead&id=event-1&said=revive" == answer.headers["Location"]
        _, text = await read(client, answer.headers["Location"].removeprefix("./"))
        states = {entry.event_id: entry.state for entry in await inbox.entries()}

    assert "Revived" in text
    assert {"event-1": "waiting", "event-2": "dead"} == states
    assert re.search(r"event event-1 was revived in the inspector by session \w{8} from 127\.0\.0\.1", caplog.text)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_replay(inspect, any_inbox, kind, stored, caplog):
    """What is done and has its body runs again."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    inbox = any_inbox(kind, keep_bodies_s=3600)
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in()
        await stored(inbox, "event-1")
        (claim,) = await inbox.claim(1, lease_s=10)
        await inbox.done(claim)
        _, text = await read(client, "?id=event-1")
        assert "Run again" in text
        answer = await client.post("replay?id=event-1", {"csrf": csrf})
        (entry,) = await inbox.entries()

    assert "said=replay" in answer.headers["Location"]
    assert "waiting" == entry.state
    assert "event event-1 was replayed in the inspector by session" in caplog.text


async def test_nothing_to_run(inspect, inbox, stored):
    """What is done and has no body can neither run again nor be revealed."""
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in(REVEAL)
        await stored(inbox, "event-1")
        (claim,) = await inbox.claim(1, lease_s=10)
        await inbox.done(claim)
        _, text = await read(client, "?id=event-1")
        answer = await client.post("replay?id=event-1", {"csrf": csrf})

    assert "Run again" not in text
    assert "Reveal" not in text
    assert "said=nothing" in answer.headers["Location"]


async def test_forget(inspect, inbox, stored, caplog):
    """A delivery is forgotten after a page has asked, and no other one is."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in()
        await stored(inbox, "event-1")
        await stored(inbox, "event-2")
        _, text = await read(client, "forget?id=event-1")
        assert "It has not been handled" in text
        assert 2 == len(await inbox.entries())
        assert 303 == (await client.post("forget?id=event-1", {"csrf": csrf})).status
        assert ["event-2"] == [entry.event_id for entry in await inbox.entries()]
        assert 303 == (await client.post("forget", {"csrf": csrf})).status
        assert ["event-2"] == [entry.event_id for entry in await inbox.entries()]

    assert "event event-1 was forgotten in the inspector by session" in caplog.text


async def test_masked(inspect, inbox, stored, caplog):
    """Names and kinds of the fields of an event are shown, and no value is in a page or a log until it is revealed."""
    caplog.set_level(logging.DEBUG)
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1", "paystubs.added", error_code=VALUE, params={"count": 4711})
        page, text = await read(client, "?id=event-1")
        pages = [page] + [(await read(client, path))[0] for path in ("", "accounts", "forget?id=event-1")]
        assert "Reveal" not in text
        assert 403 == (await client.post("reveal?id=event-1", {"csrf": await client.csrf()})).status

    for field, kind in (("timestamp", "date"), ("error_code", "text"), ("params.count", "number")):
        assert re.search(rf"{re.escape(field)}\s+{kind}\s", text)
    assert re.search(r"deleted\[\]\.pay_date\s+date", text)
    assert not [page for page in pages if VALUE in page or "4711" in page]
    assert VALUE not in caplog.text


async def test_revealed(inspect, inbox, stored, caplog):
    """Who may reveal sees the values once, and that is recorded: who, which, from where; never what."""
    caplog.set_level(logging.INFO, "pinwheel_async.audit")
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in(REVEAL)
        await stored(inbox, "event-1", "paystubs.added", error_code=VALUE, params={"count": 4711})
        answer = await client.post("reveal?id=event-1", {"csrf": csrf})
        text = re.sub(r"<[^>]+>", " ", page := (await answer.text()).replace("<wbr>", ""))
        assert VALUE not in (await read(client, "?id=event-1"))[0]

    assert re.search(rf"error_code\s+{VALUE}", text)
    assert re.search(r"params\.count\s+4711", text)
    assert "data-live" not in page  # what would be fetched again is masked
    assert "no-store" == answer.headers["Cache-Control"]
    message = r"the values of event event-1 are revealed in the inspector to session \w{8} from 127\.0\.0\.1"
    assert re.search(message, caplog.text)
    assert "the body of event event-1 was read by" in caplog.text
    assert VALUE not in caplog.text


async def test_revealed_oddity(inspect, inbox, time):
    """A body that is no event is revealed as text, whatever is in it, with what is wrong."""
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in(REVEAL)
        content = json.dumps({"event_id": "event-1", "event": "paystubs.added", "payload": [HOSTILE]}).encode()
        await inbox.put(make_delivery({}, content, key="k", received_at=time.clock.now()))
        answer = await client.post("reveal?id=event-1", {"csrf": csrf})
        page = await answer.text()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert 'class="problem"' in page


async def test_hostile(inspect, inbox, time):
    """Ids and names made of HTML, quotes and parts of URLs are text; such deliveries can be seen and forgotten."""
    ids = [HOSTILE, "a&b=c#d?e=%00/../x", '" autofocus onfocus="alert(3)', "{{7*7}}", "é\u0301漢"]
    async with inspect(inbox=inbox, work=False) as client:
        csrf = await client.log_in()
        for event_id in ids:
            content = json.dumps(
                {"event_id": event_id, "event": HOSTILE, "payload": {"account_id": f"acc{event_id}"}}
            ).encode()
            await inbox.put(make_delivery({}, content, key="k", received_at=time.clock.now()))
        listed = [(await read(client, path))[0] for path in ("", "accounts")]
        for event_id in ids:
            path = f"?id={quote(event_id)}"
            shown, text = await read(client, path)
            assert event_id in text
            listed += [shown, (await read(client, f"forget{path}&account={quote(HOSTILE)}"))[0]]
            listed.append((await read(client, f"?account={quote(event_id)}&event={quote(event_id)}"))[0])
        for page in listed:
            found = Elements(page)
            assert {"inspector.js"} >= found.scripts
            assert not [name for name, _ in found.all if name in {"img", "style", "iframe", "object"}]
            assert not [key for _, keys in found.all for key in keys if key.startswith("on") or key == "style"]
        assert all(
            [303 == (await client.post(f"forget?id={quote(event_id)}", {"csrf": csrf})).status for event_id in ids]
        )
        assert not await inbox.entries()


async def test_unprintable(inspect, inbox, time):
    """A character that turns the direction of a line, or none at all, is not shown."""
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        delivery = make_delivery({}, b"{}", key="k", received_at=time.clock.now())
        await inbox.put(evolve(delivery, event_id="e\u202edne", event="x\u200by", ordering_key="a\u2066b"))
        page, _ = await read(client)

    visible = re.sub(r'="[^"]*"', "", page)
    assert not {"\u202e", "\u200b", "\u2066"} & set(visible)


async def test_accounts(inspect, inbox, stored, time):
    """Each account is a row with its events in the order in which they came."""
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        for number, event in enumerate(("account.added", "income.added", "income.added", "paystubs.added")):
            await stored(inbox, f"event-{number}", event)
        time.advance(60)
        await stored(inbox, "event-9", "shifts.added", account_id="another")
        page, text = await read(client, "accounts")

    assert re.search(
        r"another.*shifts\.added\s+waiting.*7f3e9a52…9c11\s+Deliveries\s+4\s+2026-01-01 00:00:00\s+"
        r"account\.added\s+waiting\s+"
        r"income\.added \(2 times\)\s+waiting\s+paystubs\.added\s+waiting",
        text,
        re.DOTALL,
    )
    assert f'href="./?account={ACCOUNT}"' in page


async def test_readiness_of_accounts(inspect, inbox, stored, body):
    """With a readiness the row of an account says of each product how far it is; where nothing was heard, so."""
    readiness = Readiness(inbox)
    async with inspect(inbox=inbox, work=False, readiness=readiness) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        await stored(inbox, "event-2", account_id="another")
        for event, outcome in (("income.added", "success"), ("shifts.added", "error"), ("paystubs.added", "pending")):
            content = body(event, account_id=ACCOUNT, outcome=outcome, name=event.partition(".")[0])
            await readiness._record(decode_event(content).event)
        _, text = await read(client, "accounts")

    another, known = text.partition("7f3e9a52…9c11")[::2]
    assert "nothing known" in another
    assert re.search(
        r"failed\s+shifts\s+waiting\s+identity, employment, direct deposit allocations, tax forms"
        r"\s+pending\s+paystubs\s+succeeded\s+income",
        known,
    )


async def test_accounts_without_readiness(inspect, stored):
    """Without a readiness there is no column of products."""
    inbox = MemoryInbox()
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        _, text = await read(client, "accounts")

    assert "Products" not in text
    assert "nothing known" not in text


async def test_readiness_of_many_accounts(inspect, stored, monkeypatch):
    """The readiness of the newest accounts only is read, as the page is asked for every few seconds."""
    monkeypatch.setattr(_app, "READY_ACCOUNTS", 2)
    inbox, asked = MemoryInbox(), []
    readiness = Readiness(inbox)
    get = readiness.get

    async def note(account_id, **options):
        asked.append((account_id, options))
        return await get(account_id, **options)

    monkeypatch.setattr(readiness, "get", note)
    async with inspect(inbox=inbox, work=False, readiness=readiness) as client:
        await client.log_in()
        for number in range(4):
            await stored(inbox, f"event-{number}", account_id=f"account-{number}")
        _, text = await read(client, "accounts")

    assert [("account-3", {"look": False}), ("account-2", {"look": False})] == asked
    assert all(f"account-{number}" in text for number in range(4))


async def test_hashed_ids(inspect, stored, tmp_path):
    """Where an inbox has hashes of the ids of accounts, their hashes are shown and lead to their deliveries."""
    inbox = SqliteInbox(tmp_path / "inbox.db", key=b"k" * 32, hash_ids=True)
    async with inspect(inbox=inbox, work=False) as client:
        await client.log_in()
        await stored(inbox, "event-1")
        await stored(inbox, "event-2", account_id="another")
        page, _ = await read(client, "?id=event-1")
        assert ACCOUNT not in page
        (entry,) = await inbox.entries(DeliveryFilter(event_ids=["event-1"]))
        by_hash, _ = await read(client, f"?account={quote(entry.ordering_key)}")
        by_id, _ = await read(client, f"?account={ACCOUNT}")

    assert 1 == len(links(by_hash)) == len(links(by_id))


async def test_inbox_fails(inspect):
    """An inbox that does not answer is a page that says so, not a traceback."""

    class Broken(MemoryInbox):
        async def counts(self):
            raise InboxError("the disk is full", reason="disk")

    async with inspect(inbox=Broken(), work=False) as client:
        await client.post("login", {"token": TOKEN})
        answer = await client.get()

    assert 503 == answer.status
    assert "the disk is full" in await answer.text()
