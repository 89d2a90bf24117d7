"""Requests that the library has no method for, and options of single calls."""

import asyncio
import json
import logging
import re
import traceback
from datetime import date

import pytest
from aiohttp import web
from rich.pretty import pretty_repr

from pinwheel_async import (
    ConfigurationError,
    DeadlineError,
    DecodeError,
    NotFoundError,
    Page,
    Pinwheel,
    RequestError,
    RetryPolicy,
    ServerError,
)
from pinwheel_async.models import Account, Paystub
from pinwheel_async.testing import make_account

SECRET = "planted-secret-4711"
ACCOUNT = make_account().to_dict()
ANSWER = web.json_response({"data": ACCOUNT, "meta": {"next_cursor": None}})
LIST = web.json_response({"data": [ACCOUNT], "meta": {"next_cursor": "on"}})
EMPTY = web.Response(status=204)
ODD = web.Response(text="<html>planted</html>")


@pytest.fixture
async def open_client(serve):
    """Open a client of a server with these answers; return both."""
    clients = []

    async def start(*answers, **settings):
        site = await serve(*answers)
        settings.setdefault("retry", RetryPolicy(attempts=2, base_s=0.001))
        client = Pinwheel(SECRET, base_url=site.base_url, **settings)
        clients.append(client)
        await client.open()
        return client, site

    yield start
    for client in clients:
        await client.close()


async def test_plain_json(open_client):
    """Without a class the whole answer comes as plain values."""
    pinwheel, _ = await open_client(ANSWER)

    assert await pinwheel.request("GET", "/v1/new") == {"data": ACCOUNT, "meta": {"next_cursor": None}}


async def test_a_model(open_client):
    """With a class the object is decoded as that of any other call."""
    pinwheel, _ = await open_client(ANSWER)

    assert await pinwheel.request("GET", "/v1/new", cast_to=Account) == make_account()


async def test_a_page(open_client):
    """With a page of a class the answer is a page, with its cursor."""
    pinwheel, _ = await open_client(LIST)

    page = await pinwheel.request("GET", "/v1/new", cast_to=Page[Account])

    assert ((make_account(),), "on") == (page.data, page.next_cursor)


async def test_no_body_is_none(open_client):
    """An action that answers nothing gives None."""
    pinwheel, _ = await open_client(EMPTY)

    assert await pinwheel.request("DELETE", "/v1/new/x") is None


async def test_what_is_sent(open_client):
    """Secret, version, query and body go out as for any other call."""
    pinwheel, site = await open_client(ANSWER)

    await pinwheel.request(
        "POST",
        "/v1/new",
        query={"a": "x y&", "b": [1, "c"], "d": date(2026, 1, 2), "e": True, "f": None},
        body={"g": None},
    )

    (arrival,) = site.arrivals
    assert arrival.target == "/v1/new?a=x%20y%26&b=1&b=c&d=2026-01-02&e=true"
    assert (SECRET, "2025-07-08") == (arrival.headers["x-api-secret"], arrival.headers["pinwheel-version"])
    assert json.loads(arrival.body) == {"g": None}


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1)])
async def test_it_is_repeated_like_any_other_call(open_client, method, times):
    """What cannot make something twice is tried again."""
    pinwheel, site = await open_client(web.Response(status=500))

    with pytest.raises(ServerError):
        await pinwheel.request(method, "/v1/new")

    assert times == len(site.arrivals)


PATHS = [
    "",
    "v1/accounts",
    "https://planted.example/v1",
    "//planted.example/v1",
    "/v1/../admin",
    "/v1/..",
    "/./v1",
    "/v1/%2e%2e/admin",
    "/v1/%2E./admin",
    "/v1/..%2fadmin",
    "/v1/..%5cadmin",
    "/v1\\..\\admin",
    "/v1/a?b=c",
    "/v1/a#b",
    "/v1/a b",
    "/v1/é",
    "/v1/a\r\nX: y",
    "/v1/%",
    "/v1/\x00",
    None,
    5,
    b"/v1",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_is_none_is_refused(open_client, path):
    """What might lead to another host or another path is not sent, nor shown."""
    pinwheel, site = await open_client(ANSWER)

    with pytest.raises(RequestError, match="path must be a path") as caught:
        await pinwheel.request("GET", path)

    assert "planted" not in str(caught.value)
    assert site.arrivals == []


WRONG = {
    "method": ({"method": "get"}, "method must be one of GET"),
    "no method": ({"method": None}, "method must be one of GET"),
    "query": ({"query": "a=planted"}, "query must be a dict; str was given"),
    "query value": (
        {"query": {"a": {"planted": 1}}},
        "query must hold text, whole numbers, days or lists of them; dict was given",
    ),
    "query float": ({"query": {"a": 1.5}}, "float was given"),
    "body of a GET": ({"body": {"planted": 1}}, "body must be None: a GET has none"),
    "body": ({"method": "POST", "body": {"planted": object()}}, "body must be plain JSON values or a model"),
    "surrogate": ({"method": "POST", "body": {"planted": "\ud800"}}, "body must be plain JSON values or a model"),
    "class": ({"cast_to": dict}, "cast_to must be a model class"),
    "page of anything": ({"cast_to": Page[int]}, "cast_to must be a model class"),
    "bare page": ({"cast_to": Page}, "cast_to must be a model class"),
    "name": ({"name": "/v1/accounts/0f4fa7ff"}, "name must be a template of the path"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_argument_is_refused_by_name(open_client, name):
    """Argument, type and cure are named before anything is sent; no value is in text or traceback."""
    given, text = WRONG[name]
    pinwheel, site = await open_client(ANSWER)

    with pytest.raises(RequestError, match=re.escape(text)) as caught:
        await pinwheel.request(**{"method": "GET", "path": "/v1/new", **given})

    assert "planted" not in _written(caught.value)
    assert site.arrivals == []


def _written(error):
    """A traceback with the locals of all frames but the test's own."""
    entry = error.__traceback__
    while entry and "/tests/" in entry.tb_frame.f_code.co_filename:
        entry = entry.tb_next
    return "".join(traceback.TracebackException(type(error), error, entry, capture_locals=True).format())


@pytest.mark.parametrize(("name", "shown"), [(None, "GET (raw)"), ("/v1/new/{new_id}", "GET /v1/new/{new_id}")])
async def test_logs_and_errors_say_the_template_only(open_client, caplog, name, shown):
    """The path may hold ids, so it is in neither log nor error."""
    caplog.set_level(logging.DEBUG, "pinwheel_async")
    pinwheel, _ = await open_client(web.Response(status=404))

    with pytest.raises(NotFoundError) as caught:
        await pinwheel.request("GET", "/v1/new/planted", query={"q": "planted"}, name=name)

    assert shown == caught.value.endpoint
    assert shown in caplog.text
    assert "planted" not in caplog.text + _written(caught.value)


async def test_no_json_is_an_error(open_client):
    """A proxy's page is refused with the place, and is on the error."""
    pinwheel, _ = await open_client(ODD)

    with pytest.raises(DecodeError, match="not JSON") as caught:
        await pinwheel.request("GET", "/v1/new")

    assert caught.value.response.body == b"<html>planted</html>"


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"a": 1}', b'\xef\xbb\xbf{"a": "\\ud83d"}', b'{"a": "\\ud83d!"}'])
async def test_json_that_has_to_be_repaired(open_client, body):
    """A byte order mark is skipped, and half a surrogate pair is replaced, as in answers with models."""
    pinwheel, _ = await open_client(web.Response(body=body))

    found = await pinwheel.request("GET", "/v1/new")

    assert {"a": 1 if b"1" in body else "\ufffd!" if b"!" in body else "\ufffd"} == found


async def test_null_is_sent(open_client):
    """A null of plain values is sent; a model is sent without what it does not have."""
    pinwheel, site = await open_client(ANSWER)

    await pinwheel.request("POST", "/v1/new", body={"a": None})
    await pinwheel.request("POST", "/v1/new", body=Account.from_dict({**ACCOUNT, "customer_id": None}))

    plain, model = [json.loads(arrival.body) for arrival in site.arrivals]
    assert {"a": None} == plain
    assert ACCOUNT["id"] == model["id"]
    assert "customer_id" not in model


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"extra_headers": {"x-a": 7}}, "extra_headers must hold printable ASCII text; x-a has other int"),
        ({"extra_headers": {" ": "a"}}, "extra_headers must have names of headers"),
        (
            {"extra_headers": {"X-API-Secret": "a"}},
            "extra_headers must not hold x-api-secret: it follows from the client and the call",
        ),
        ({"extra_headers": {"": "a"}}, "extra_headers must have names that are text"),
        ({"extra_body": {7: "a"}}, "extra_body must have names that are text"),
        ({"extra_body": [7]}, "extra_body must be a dict; list was given"),
        (
            {"extra_body": {"a": object()}},
            "extra_body['a'] must be plain JSON values or a model; object cannot be encoded",
        ),
    ],
)
def test_what_is_wrong_with_an_addition(extra, text):
    """The error names the addition, what it must be, and the type of what was given."""
    with pytest.raises(RequestError) as caught:
        Pinwheel("secret").with_options(**extra)

    assert [text] == list(caught.value.problems)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("GOT", "/v1/new"), "method must be one of GET, POST, PUT, PATCH, DELETE"),
        (
            ("GET", "v1/new"),
            (
                "path must be a path, such as /v1/accounts, percent-encoded, without host, query, '//' or '..'; "
                "the query goes in query"
            ),
        ),
    ],
)
async def test_what_is_wrong_with_a_raw_request(open_client, arguments, text):
    """The error says what the argument must be."""
    pinwheel, _ = await open_client(ANSWER)

    with pytest.raises(RequestError) as caught:
        await pinwheel.request(*arguments)

    assert [text] == list(caught.value.problems)


async def test_several_pairs_of_a_query(open_client):
    """Of the query of a call only the pairs whose names are added again are taken out."""
    pinwheel, site = await open_client(LIST)

    await pinwheel.with_options(extra_query={"cursor": "b"}).accounts.list(limit=3, cursor="a=1")
    await (
        pinwheel.with_options(extra_query={"a": "b"}, extra_body={"c": 1})
        .with_options(extra_headers={"x-d": "1"})
        .request("POST", "/v1/new")
    )

    assert ["/v1/accounts?limit=3&cursor=b", "/v1/new?a=b"] == [arrival.target for arrival in site.arrivals]
    assert {"c": 1} == json.loads(site.arrivals[1].body)


async def test_options_of_one_call(open_client):
    """A view sends what it is told to; the client itself is as before."""
    pinwheel, site = await open_client(ANSWER)
    view = pinwheel.with_options(
        version="2023-11-22", extra_headers={"X-Trace": "t"}, extra_query={"a": 1, "limit": 3}, timeout_s=5
    )

    await view.accounts.get("x")
    await pinwheel.accounts.get("x")

    first, second = site.arrivals
    assert ("/v1/accounts/x?a=1&limit=3", "2023-11-22", "t") == (
        first.target,
        first.headers["pinwheel-version"],
        first.headers["x-trace"],
    )
    assert ("/v1/accounts/x", "2025-07-08", None) == (
        second.target,
        second.headers["pinwheel-version"],
        second.headers.get("x-trace"),
    )
    assert (5, 60) == (view.settings.timeout_s, pinwheel.settings.timeout_s)


async def test_extra_query_takes_the_place_of_the_calls_own(open_client):
    """A parameter is sent once, the one of the options."""
    pinwheel, site = await open_client(LIST)

    await pinwheel.with_options(extra_query={"limit": 7}).accounts.list(limit=3)

    assert site.arrivals[0].target == "/v1/accounts?limit=7"


async def test_extra_fields_of_the_body(open_client):
    """Fields are added to a body or take the place of its own, every digit as it was."""
    pinwheel, site = await open_client(ANSWER)
    view = pinwheel.with_options(extra_body={"b": [2], "c": {"d": None}})

    await view.request("POST", "/v1/new", body={"a": 1.50, "b": 1})
    await view.request("POST", "/v1/new")
    await view.request("GET", "/v1/new")

    assert [{"a": 1.5, "b": [2], "c": {"d": None}}, {"b": [2], "c": {"d": None}}] == [
        json.loads(arrival.body) for arrival in site.arrivals[:2]
    ]
    assert site.arrivals[2].body == b""


async def test_retry_of_one_call(open_client):
    """A view repeats as it is told to."""
    pinwheel, site = await open_client(web.Response(status=500))

    with pytest.raises(ServerError):
        await pinwheel.with_options(retry=RetryPolicy(attempts=1)).accounts.get("x")

    assert len(site.arrivals) == 1


async def test_timeout_of_one_call(open_client):
    """A view waits as long as it is told to."""

    async def hang(_request):
        await asyncio.Event().wait()

    pinwheel, _ = await open_client(hang)

    with pytest.raises(DeadlineError):
        await pinwheel.with_options(timeout_s=0.05).accounts.get("x")


async def test_views_share_the_client(open_client):
    """A view is open while its client is, and counts drift with it."""
    pinwheel, _ = await open_client(web.json_response({"data": {**ACCOUNT, "connected": None}}))
    view = pinwheel.with_options(timeout_s=5)

    await view.accounts.get("x")

    assert dict(pinwheel.drift) == dict(view.drift) != {}
    await pinwheel.close()
    assert "closed" in repr(view)


async def test_views_of_views(open_client):
    """Later options win, and the others stay."""
    pinwheel, site = await open_client(ANSWER)
    view = pinwheel.with_options(extra_headers={"X-A": "1", "X-B": "1"}).with_options(extra_headers={"x-b": "2"})

    await view.accounts.get("x")

    assert ("1", "2") == (site.arrivals[0].headers["x-a"], site.arrivals[0].headers["x-b"])


@pytest.mark.parametrize(
    "name", ["x-api-secret", "X-API-Secret", "Authorization", "Pinwheel-Version", "Host", "Content-Length", "Te"]
)
def test_headers_that_follow_from_the_client_are_refused(name):
    """No option takes the place of the secret, or of what frames the request."""
    with pytest.raises(RequestError, match="it follows from the client and the call"):
        Pinwheel(SECRET).with_options(extra_headers={name: "planted"})


WRONG_OPTIONS = {
    "header name": ({"extra_headers": {"a b": "planted"}}, RequestError),
    "header value": ({"extra_headers": {"x-a": "planted\r\nb: c"}}, RequestError),
    "header type": ({"extra_headers": {"x-a": b"planted"}}, RequestError),
    "headers": ({"extra_headers": ["planted"]}, RequestError),
    "query": ({"extra_query": {"planted": object()}}, RequestError),
    "body": ({"extra_body": {"a": {"planted": object()}}}, RequestError),
    "timeout": ({"timeout_s": -1, "extra_headers": {"x-a": "planted"}}, ConfigurationError),
    "version": ({"version": "newest", "extra_body": {"a": "planted"}}, ConfigurationError),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_wrong_options_are_refused(name):
    """What cannot work is said at once, without the value."""
    given, kind = WRONG_OPTIONS[name]

    with pytest.raises(kind) as caught:
        Pinwheel(SECRET).with_options(**given)

    assert "planted" not in _written(caught.value).replace(SECRET, "")


async def test_extras_do_not_leave_their_host(open_client, serve):
    """A redirect to another origin takes neither secret nor extra headers with it."""
    other = await serve(ANSWER)
    pinwheel, _ = await open_client(web.Response(status=307, headers={"Location": f"{other.base_url}/v1/x"}))

    await pinwheel.with_options(extra_headers={"X-Token": "planted"}).accounts.get("x")

    assert {"x-token", "x-api-secret"}.isdisjoint(other.arrivals[0].headers)


def test_extras_are_not_shown():
    """Nothing that a view holds shows what is added."""
    view = Pinwheel("sandbox-secret").with_options(extra_headers={"x-a": "planted"}, extra_body={"a": "planted"})

    assert "planted" not in repr(view._caller._extras) + pretty_repr(view._caller._extras) + pretty_repr(view)
    assert view._caller._extras.headers == {"x-a": "planted"}


async def test_a_raw_page_that_is_full_must_say_so(open_client):
    """A page of a request of one's own is held to the same."""
    pinwheel, _ = await open_client(web.json_response({"data": [ACCOUNT] * 2}))

    with pytest.raises(DecodeError):
        await pinwheel.request("GET", "/v1/new", query={"limit": 2}, cast_to=Page[Account])


async def test_a_class_that_does_not_fit_is_an_error(open_client):
    """An answer of another class is refused with its places."""
    pinwheel, _ = await open_client(web.json_response({"data": {"pay_date": 5}}))

    with pytest.raises(DecodeError, match=r"data\.pay_date"):
        await pinwheel.request("GET", "/v1/new", cast_to=Paystub)
