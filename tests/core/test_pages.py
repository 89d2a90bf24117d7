"""Pages that do not say whether there is another one, and pages whose items cannot all be read."""

import json

import pytest

from pinwheel_async._core.endpoint import page
from pinwheel_async._core.page import ListMeta, Page, PaginationMeta, RefreshablePaginationMeta
from pinwheel_async._core.reply import read_reply
from pinwheel_async._core.wire import Request, Response
from pinwheel_async.converters import make_converter
from pinwheel_async.errors import DecodeError
from pinwheel_async.models import Account, SearchResult, Webhook
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing import make_account
from pinwheel_async.testing._generic import make_generic

ACCOUNTS = page("list_accounts", "/v1/accounts", Account)
SEARCH = page("search", "/v1/search", SearchResult, meta=ListMeta)
WEBHOOKS = page("list_webhooks", "/v1/webhooks", Webhook, ends_silently=True)
ACCOUNT = make_account().to_dict()
WEBHOOK = make_generic(Webhook).to_dict()


def answer(body):
    return Response(status=200, headers={}, body=json.dumps(body).encode())


def read(body, row=ACCOUNTS, version=LATEST_VERSION, target="/v1/accounts", **more):
    request = Request(endpoint=row.name, method="GET", target=target)
    return read_reply(row, answer(body), version=version, request=request, **more)


SILENT = {
    "no meta": ({}, "(body): no meta"),
    "null": ({"meta": None}, "(body): no meta"),
    "empty": ({"meta": {}}, "meta.next_cursor: missing"),
    "count only": ({"meta": {"count": 2}}, "meta.next_cursor: missing"),
    "unknown key": ({"meta": {"cursor": "x"}}, "meta.next_cursor: missing"),
}


@pytest.mark.parametrize("name", SILENT)
def test_a_page_that_does_not_say_whether_there_is_another_is_drift(name):
    """Where the version has a cursor, its absence is noted with its place, and the items are read."""
    rest, place = SILENT[name]
    reply = read({"data": [ACCOUNT] * 2, **rest})

    assert ((place,), 2, None) == (reply.drift, len(reply.value), reply.value.next_cursor)


def test_a_bare_list_is_drift():
    """A list without an envelope, which only the oldest version sends, is noted in any other."""
    assert read([ACCOUNT]).drift == ("(body): no envelope",)


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize(("target", "size"), [("/v1/accounts", 25), ("/v1/accounts?limit=2", 2), ("/x?limit=%32", 2)])
def test_a_full_page_that_does_not_say_so_is_refused(name, target, size):
    """A page as large as was asked for, 25 if nothing was, may have a next one: it is not taken for the last."""
    rest, _ = SILENT[name]

    with pytest.raises(DecodeError, match=r"meta\.next_cursor: missing, though the page is full"):
        read({"data": [ACCOUNT] * size, **rest}, target=target)


def test_a_full_bare_list_is_refused():
    """Nor is a full list without an envelope taken for all there is."""
    with pytest.raises(DecodeError, match="though the page is full"):
        read([ACCOUNT] * 25)


def test_a_page_larger_than_asked_for_is_full():
    """A server that sends more than was asked for has not said that this is all."""
    with pytest.raises(DecodeError):
        read({"data": [ACCOUNT] * 3}, target="/v1/accounts?limit=2")


@pytest.mark.parametrize("body", [[ACCOUNT] * 25, {"data": [ACCOUNT] * 25}])
def test_the_oldest_version_has_no_cursor(body):
    """Before there was an envelope, a list without a cursor was whole and as documented."""
    reply = read(body, version="2020-01-01")

    assert ((), 25) == (reply.drift, len(reply.value))


def test_the_version_of_the_answer_counts():
    """An answer that names an older version than was asked for is read as that."""
    response = Response(
        status=200, headers={"pinwheel-version": "2020-01-01"}, body=json.dumps([ACCOUNT] * 25).encode()
    )

    assert len(read_reply(ACCOUNTS, response, version=LATEST_VERSION).value) == 25


def test_a_full_last_page_is_whole():
    """A null cursor says that there is no other page, however full this one is."""
    assert read({"data": [ACCOUNT] * 25, "meta": {"next_cursor": None}}).drift == ()


@pytest.mark.parametrize("meta", [{"count": 2}, {"count": 2, "next_cursor": None}])
def test_a_list_that_ends_without_a_cursor(meta):
    """The last page of webhooks has no cursor by its documentation: however full it is, that is no drift."""
    reply = read({"data": [WEBHOOK] * 2, "meta": meta}, WEBHOOKS, target="/v1/webhooks?limit=2")

    assert ((), 2, None) == (reply.drift, len(reply.value), reply.value.next_cursor)
    assert type(reply.value) is Page


def test_a_list_that_ends_without_a_cursor_has_a_meta():
    """A full page of webhooks that says nothing about itself at all is not taken for the last one."""
    with pytest.raises(DecodeError, match="though the page is full"):
        read({"data": [WEBHOOK] * 2}, WEBHOOKS, target="/v1/webhooks?limit=2")


def test_a_search_has_no_cursor_to_miss():
    """A search is one page by its documentation."""
    hits = [{"id": str(number), "name": "Acme", "type": "employer"} for number in range(25)]
    reply = read({"data": hits, "meta": {"count": 25}}, SEARCH)

    assert len(reply.value) == 25


def test_a_page_read_from_plain_values_needs_no_cursor():
    """A converter takes what a cache kept, whatever its meta says."""
    assert make_converter().structure({"data": [], "meta": {"count": 0}}, Page[Account]).next_cursor is None


def test_metas_say_whether_there_is_another_page():
    """A pagination meta cannot be made without saying so."""
    with pytest.raises(TypeError):
        PaginationMeta()
    assert RefreshablePaginationMeta(next_cursor=None).refreshed_at is None


def broken(*indices, size=4, **fields):
    """A page of so many accounts, some of which have fields of the wrong type."""
    return {
        "data": [{**ACCOUNT, **(fields if index in indices else {})} for index in range(size)],
        "meta": {"next_cursor": "on"},
    }


@pytest.mark.parametrize("version", [LATEST_VERSION, "2020-01-01"])
def test_an_item_that_cannot_be_read_is_put_apart(version):
    """The other items of the page come, with its cursor, and the error names the item's place."""
    reply = read(broken(1, 3, platform_id=5), version=version, apart=True)

    assert [("data[1].platform_id: not text",), ("data[3].platform_id: not text",)] == [
        error.paths for error in reply.refused
    ]
    assert (2, "on") == (len(reply.value), reply.value.next_cursor)


@pytest.mark.parametrize("item", [7, None, "x", [], [[]] * 200])
def test_an_item_that_is_no_object_is_put_apart(item):
    """What stands where an item should costs no other item."""
    reply = read({"data": [ACCOUNT, item, ACCOUNT], "meta": {"next_cursor": None}}, apart=True)

    assert (2, 1) == (len(reply.value), len(reply.refused))
    assert reply.refused[0].paths[0].startswith("data[1]")


def test_an_item_with_a_hundred_problems_costs_no_other():
    """Not even an item with more problems than are counted takes the page with it."""
    tags = {str(number): number for number in range(300)}
    reply = read(broken(1, connected="x", id={"a": tags}, created_at=tags, platform_id=tags), apart=True)

    assert (3, 1) == (len(reply.value), len(reply.refused))


def test_a_page_of_nothing_but_odd_items_is_refused():
    """More items that cannot be read than a page can hold end the reading of it."""
    reply_of = broken(*range(200), size=200, platform_id=5)

    with pytest.raises(DecodeError):
        read(reply_of, apart=True)


def test_what_is_wrong_with_the_page_is_not_put_apart():
    """A page without a list, or with an odd cursor, is refused as ever."""
    for body in ({"data": {}, "meta": {"next_cursor": None}}, {"data": [], "meta": {"next_cursor": 7}}):
        with pytest.raises(DecodeError):
            read(body, apart=True)


def test_a_full_page_counts_the_items_that_were_put_apart():
    """A page without a cursor is full by what came, not by what could be read."""
    body = {"data": broken(1, platform_id=5)["data"]}

    with pytest.raises(DecodeError, match="though the page is full"):
        read(body, target="/v1/accounts?limit=4", apart=True)


def test_nothing_is_put_apart_unless_asked_for():
    """Without it, one item that cannot be read refuses the page, so that nothing is missed in silence."""
    with pytest.raises(DecodeError, match=r"data\[1\]\.platform_id"):
        read(broken(1, platform_id=5))


def test_index():
    """The objects of a page can be had by their index, and by a slice."""
    accounts = read({"data": [ACCOUNT, ACCOUNT | {"id": "other"}], "meta": {"next_cursor": None}}).value

    assert (ACCOUNT["id"], "other") == (accounts[0].id, accounts[-1].id)
    assert accounts[1:] == (accounts[1],)
