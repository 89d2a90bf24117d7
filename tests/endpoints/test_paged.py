"""Paged lists: by the page, by the item, and what ends them."""

import gc

import pytest

from pinwheel_async._core.page import ListMeta, Page, PaginationMeta
from pinwheel_async.endpoints import DocumentEndpoints, PaystubEndpoints, SearchEndpoints, TaxFormEndpoints
from pinwheel_async.errors import CursorError


def pages(*cursors):
    """Pages of two items each, whose next cursors are these."""
    return [
        Page(data=(f"item {index}a", f"item {index}b"), meta=PaginationMeta(count=2, next_cursor=cursor))
        for index, cursor in enumerate(cursors, 1)
    ]


def targets(caller):
    return [request.target for _, request in caller.sent]


async def test_awaiting_fetches_the_first_page_only(caller):
    """One await is one request, also when there is more."""
    first, *_ = answers = pages("c1", None)
    caller.will(answers)

    page = await PaystubEndpoints(caller).list("a")

    assert (first, ["/v1/accounts/a/paystubs"]) == (page, targets(caller))


async def test_a_cursor_starts_where_it_points(caller):
    """A list with a cursor begins with the page of that cursor."""
    caller.will(pages("c2", None))

    items = [one async for one in PaystubEndpoints(caller).list("a", cursor="c1")]

    assert ["item 1a", "item 1b", "item 2a", "item 2b"] == items
    assert ["/v1/accounts/a/paystubs?cursor=c1", "/v1/accounts/a/paystubs?cursor=c2"] == targets(caller)


async def test_iterating_gives_every_item_in_order(caller):
    """All items of all pages come in the server's order, with the cursor of each page sent for the next one."""
    caller.will(pages("c=1", "c2", None))

    items = [one async for one in PaystubEndpoints(caller).list("a", limit=2)]

    assert [f"item {page}{letter}" for page in (1, 2, 3) for letter in "ab"] == items
    assert [
        "/v1/accounts/a/paystubs?limit=2",
        "/v1/accounts/a/paystubs?limit=2&cursor=c%3D1",
        "/v1/accounts/a/paystubs?limit=2&cursor=c2",
    ] == targets(caller)


async def test_filters_are_sent_with_every_page(caller):
    """That a cursor keeps the filters is not documented, so they are sent again."""
    caller.will(pages("c1", None))

    await TaxFormEndpoints(caller).list("a", from_year=2020, limit=2).all()

    assert targets(caller)[1] == "/v1/accounts/a/tax_forms?from_year=2020&limit=2&cursor=c1"


async def test_all_returns_every_item(caller):
    """`all()` is the items of every page as a tuple."""
    caller.will(pages("c1", None))

    assert await PaystubEndpoints(caller).list("a").all() == ("item 1a", "item 1b", "item 2a", "item 2b")


async def test_pages_gives_every_page(caller):
    """`pages()` is every page with its meta."""
    answers = pages("c1", None)
    caller.will(answers)

    assert answers == [page async for page in PaystubEndpoints(caller).list("a").pages()]


async def test_a_page_is_fetched_when_it_is_needed(caller):
    """Who stops early pays for no further page."""
    caller.will(pages("c1", "c2", None))

    async for _ in PaystubEndpoints(caller).list("a"):
        break

    assert len(caller.sent) == 1


async def test_a_page_without_items_does_not_end_a_list(caller):
    """Only a missing cursor ends a list."""
    empty = Page(data=(), meta=PaginationMeta(count=0, next_cursor="c1"))
    caller.will([empty, *pages(None)])

    assert await PaystubEndpoints(caller).list("a").all() == ("item 1a", "item 1b")


@pytest.mark.parametrize("cursors", [("c1", "c1"), ("c1", "c2", "c1")])
async def test_a_cursor_that_comes_twice_ends_the_list(cursors, caller):
    """A server that hands out the same cursor again would be asked for ever."""
    caller.will(pages(*cursors, None))

    with pytest.raises(CursorError) as caught:
        await PaystubEndpoints(caller).list("a").all()

    assert (len(cursors), "GET /v1/accounts/{account_id}/paystubs") == (caught.value.pages, caught.value.endpoint)


@pytest.mark.parametrize("end", [None, ""])
async def test_a_list_ends_without_a_cursor(end, caller):
    """A null cursor ends a list, and so does an empty one, which would lead back to the first page."""
    caller.will(pages("c1", end, None))

    assert len(await PaystubEndpoints(caller).list("a").all()) == 4


async def test_everything_before_a_repeated_cursor_is_delivered(caller):
    """The items of all fetched pages arrive before the error."""
    caller.will(pages("c1", "c1"))
    items = []

    async def read():
        async for one in PaystubEndpoints(caller).list("a"):
            items.append(one)  # noqa: PERF401  # a comprehension would lose them with the error

    with pytest.raises(CursorError):
        await read()

    assert ["item 1a", "item 1b", "item 2a", "item 2b"] == items


async def test_a_list_can_be_read_again(caller):
    """Each reading asks the server anew, from the start."""
    paged = PaystubEndpoints(caller).list("a")
    caller.will(pages("c1", None))
    first = await paged.all()
    caller.will(pages("c1", None))

    assert first == await paged.all()


async def test_an_error_on_a_later_page_arrives(caller):
    """What the caller raises for the second page ends the iteration."""
    caller.will([*pages("c1"), LookupError()])

    with pytest.raises(LookupError):
        await PaystubEndpoints(caller).list("a").all()


async def test_the_documents_send_their_cursor_though_it_is_not_documented(caller):
    """The answer has a next cursor, so it is sent back, with the filter."""
    caller.will(pages("c1", None))

    await DocumentEndpoints(caller).list("u", type="direct_deposit_form").all()

    assert targets(caller)[1] == "/v1/end_users/u/documents?type=direct_deposit_form&cursor=c1"


async def test_a_search_is_one_page(caller):
    """A search has no cursor, so reading it all is one request."""
    caller.will([Page(data=("hit",), meta=ListMeta(count=1))])

    assert (("hit",), 1) == (await SearchEndpoints(caller).list("acme").all(), len(caller.sent))


def test_the_repr_shows_no_argument(caller):
    """A list shows its endpoint; neither its cursor nor what was searched for."""
    paged = PaystubEndpoints(caller).list("a1", cursor="secret-cursor")

    assert repr(paged) == "<Paged GET /v1/accounts/{account_id}/paystubs>"


def test_a_dropped_list_sends_nothing_and_warns_of_nothing(caller):
    """A list that nobody reads leaves no coroutine behind."""
    PaystubEndpoints(caller).list("a")
    gc.collect()

    assert caller.sent == []
