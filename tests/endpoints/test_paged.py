"""Paged lists: by the page, by the item, and what ends them."""

import asyncio
import gc
import weakref
from contextlib import aclosing
from itertools import count

import pytest

from pinwheel_async._core.page import ListMeta, Page, PaginationMeta
from pinwheel_async.endpoints import DocumentEndpoints, PaystubEndpoints, SearchEndpoints, TaxFormEndpoints, _paged
from pinwheel_async.endpoints._table import ENDPOINTS
from pinwheel_async.errors import CursorError, RequestError
from pinwheel_async.models import EarningsStreamPayout
from pinwheel_async.testing import make_paystub
from pinwheel_async.testing._generic import make_generic


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

    items = [item async for item in PaystubEndpoints(caller).list("a", cursor="c1")]

    assert ["item 1a", "item 1b", "item 2a", "item 2b"] == items
    assert ["/v1/accounts/a/paystubs?cursor=c1", "/v1/accounts/a/paystubs?cursor=c2"] == targets(caller)


async def test_iterating_gives_every_item_in_order(caller):
    """All items of all pages come in the server's order, with the cursor of each page sent for the next one."""
    caller.will(pages("c=1", "c2", None))

    items = [item async for item in PaystubEndpoints(caller).list("a", limit=2)]

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
    """An iteration that stops early fetches no further page."""
    caller.will(pages("c1", "c2", None))

    async for _ in PaystubEndpoints(caller).list("a"):
        break

    assert len(caller.sent) == 1


async def _by_item(paged):
    async for _ in paged:
        pass


async def _by_page(paged):
    async for page in paged.pages():
        del page


@pytest.mark.parametrize("read", [_by_item, _by_page], ids=["items", "pages"])
async def test_a_page_is_let_go_before_the_next_one_is_fetched(read):
    """A reading holds one page at a time: while it fetches the next one, nothing keeps the last one alive."""
    alive: list[weakref.ref[object]] = []

    async def fetch(cursor, _):
        assert [None] * len(alive) == [page() for page in alive]
        following = {None: "c1", "c1": "c2", "c2": None}[cursor]
        page = Page(data=(f"item {cursor}",), meta=PaginationMeta(next_cursor=following))
        alive.append(weakref.ref(page))
        return page

    await read(_paged.Paged(fetch, endpoint="GET /v1/accounts"))

    assert len(alive) == 3


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


def endless(*contents):
    """Pages with these items over and over, each with a cursor of its own, as the API makes them."""
    for number in count():
        yield Page(data=contents[number % len(contents)], meta=PaginationMeta(next_cursor=f"c{number}"))


def identified(*ids):
    return tuple([make_paystub(id=id_) for id_ in ids])


class Endless:
    """A caller whose list has no end; it refuses to be asked too often."""

    def __init__(self, pages, at_most=100):
        self.pages, self.at_most, self.asked = pages, at_most, 0

    async def call(self, _row, _request, **_options):
        self.asked += 1
        assert self.asked <= self.at_most
        return next(self.pages)


ROUNDS = {
    "empty": [()],
    "the same page": [identified("a", "b")],
    "the same items in another order": [identified("a", "b"), identified("b", "a")],
    "two pages": [identified("a"), identified("b")],
    "a long round": [identified(f"{number}") for number in range(40)],
    "empty between": [identified("a"), (), ()],
    "items without ids": [(make_generic(EarningsStreamPayout, 1),)],
    "null ids": [identified(None, None)],
}


@pytest.mark.parametrize("name", ROUNDS)
async def test_a_list_that_brings_nothing_new_ends(name):
    """Ten pages running without a new item end a list, though each has a cursor that was never seen."""
    caller = Endless(endless(*ROUNDS[name]))

    with pytest.raises(CursorError) as caught:
        await PaystubEndpoints(caller).list("a").all()

    assert caller.asked == caught.value.pages <= len(ROUNDS[name]) + 10


async def test_a_round_longer_than_what_is_remembered_ends(monkeypatch):
    """What is remembered of a list is bounded, and a list that leads back is found all the same."""
    monkeypatch.setattr(_paged, "MAX_KNOWN", 30)
    caller = Endless(endless(*[identified(f"{number}a", f"{number}b") for number in range(500)]), at_most=2500)

    with pytest.raises(CursorError):
        async for _ in PaystubEndpoints(caller).list("a"):
            pass


async def test_what_is_remembered_is_bounded(monkeypatch):
    """A list of any length takes the same memory."""
    monkeypatch.setattr(_paged, "MAX_KNOWN", 30)
    progress = _paged._Progress()
    most = 0
    for number in range(2000):
        page = Page(data=identified(f"{number}a", f"{number}b"), meta=PaginationMeta(next_cursor=f"c{number}"))
        assert progress.goes_on(page)
        most = max(most, len(progress._known), len(progress._cursors))

    assert most <= 32


@pytest.mark.parametrize("quiet", [(), identified("a")])
async def test_a_few_pages_without_anything_new_do_not_end_a_list(quiet, caller):
    """Nine empty or repeated pages are forgiven, again and again, as long as something new follows."""
    contents = [content for number in range(3) for content in (identified(f"new {number}"), *[quiet] * 9)]
    caller.will(
        Page(data=content, meta=PaginationMeta(next_cursor=f"c{number}" if number < 29 else None))
        for number, content in enumerate([identified("a"), *contents[1:]])
    )

    await PaystubEndpoints(caller).list("a").all()

    assert len(caller.sent) == 30


@pytest.mark.parametrize("row", [row for row in ENDPOINTS if row.shape == "page"], ids=lambda row: row.operation)
def test_items_can_be_told_apart(row):
    """The items of every list have an id, or can be told apart as a whole."""
    item = make_generic(row.result, 1)

    assert hasattr(item, "id") or isinstance(hash(item), int)


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
        async for item in PaystubEndpoints(caller).list("a"):
            items.append(item)  # noqa: PERF401  # a comprehension would lose them with the error

    with pytest.raises(CursorError):
        await read()

    assert ["item 1a", "item 1b", "item 2a", "item 2b"] == items


async def test_a_list_can_be_read_again(caller):
    """Each reading asks the server again, from the start."""
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
    """A list that is not read leaves no coroutine behind."""
    PaystubEndpoints(caller).list("a")
    gc.collect()

    assert caller.sent == []


@pytest.mark.parametrize(("count", "found", "sent"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (4, 4, 2), (99, 6, 3)])
async def test_first_fetches_no_page_too_many(count, found, sent, caller):
    """The first items take as many pages as hold them."""
    caller.will(pages("c1", "c2", None))

    items = await PaystubEndpoints(caller).list("a").first(count)

    assert (found, sent) == (len(items), len(caller.sent))
    assert items == tuple([f"item {page}{letter}" for page in (1, 2, 3) for letter in "ab"][:count])


@pytest.mark.parametrize("count", [0, -1, 2.0, "2", None, True])
async def test_a_count_that_is_none_is_refused(count, caller):
    """What is no whole number above 0 is refused before anything is sent, by its name and its type."""
    with pytest.raises(RequestError, match=f"count must be a whole number above 0; {type(count).__name__} was given"):
        await PaystubEndpoints(caller).list("a").first(count)

    assert caller.sent == []


async def test_items_hand_on_what_to_do_with_odd_ones(caller):
    """Every page is asked for with the callback; without one nothing is said of it."""
    caller.will(pages("c1", None))
    problems = []

    items = [item async for item in PaystubEndpoints(caller).list("a").items(on_error=problems.append)]

    assert (4, [{"on_error": problems.append}] * 2) == (len(items), caller.options)


class Prompted:
    """A caller that answers when it is told to, and notes what is under way."""

    def __init__(self, answers):
        self.answers, self.asked, self.go, self.cancelled = list(answers), 0, asyncio.Event(), 0

    async def call(self, _row, _request, **_options):
        self.asked += 1
        number = self.asked
        if number > 1:
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        answer = self.answers[number - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_next_page_is_fetched_meanwhile():
    """While the items of a page are handled, the next page is fetched, and none beyond it."""
    caller = Prompted(pages("c1", "c2", "c3", None))
    caller.go.set()
    asked = []

    async for _ in PaystubEndpoints(caller).list("a").items(prefetch=True):
        await settle()
        asked.append(caller.asked)

    assert asked == [2, 2, 3, 3, 4, 4, 4, 4]


async def test_without_prefetch_nothing_is_fetched_meanwhile():
    """A page is fetched when the one before it is done with."""
    caller = Prompted(pages("c1", None))
    caller.go.set()
    asked = []

    async for _ in PaystubEndpoints(caller).list("a").items():
        await settle()
        asked.append(caller.asked)

    assert asked == [1, 1, 2, 2]


async def test_a_prefetched_list_is_the_same_list(caller):
    """Items, order and requests are those of a reading without it."""
    caller.will(pages("c1", "c2", None))

    items = [item async for item in PaystubEndpoints(caller).list("a").items(prefetch=True)]

    assert [f"item {page}{letter}" for page in (1, 2, 3) for letter in "ab"] == items
    assert len(caller.sent) == 3


async def test_a_reading_that_stops_early_cancels_what_it_prefetches():
    """Closing the reading leaves no request behind."""
    caller = Prompted(pages("c1", None))

    async with aclosing(PaystubEndpoints(caller).list("a").items(prefetch=True)) as items:
        async for _ in items:
            await settle()
            break

    assert (2, 1) == (caller.asked, caller.cancelled)
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancelled_reading_cancels_what_it_prefetches():
    """A task that waits for the next page, and is cancelled, takes the request with it."""
    caller = Prompted(pages("c1", None))
    task = asyncio.create_task(_read(PaystubEndpoints(caller).list("a").items(prefetch=True)))
    await settle()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert (1, 1) == (caller.cancelled, len(asyncio.all_tasks()))


async def _read(items):
    return [item async for item in items]


async def test_an_error_of_a_prefetched_page_comes_in_its_turn():
    """The items of the page before it are delivered first."""
    caller = Prompted([*pages("c1"), LookupError()])
    caller.go.set()
    found = []

    async def read():
        async for item in PaystubEndpoints(caller).list("a").items(prefetch=True):
            await settle()
            found.append(item)

    with pytest.raises(LookupError):
        await read()

    assert found == ["item 1a", "item 1b"]


async def test_an_error_that_nobody_waits_for_is_no_warning():
    """A page that failed while nobody asked for it any more is forgotten."""
    caller = Prompted([*pages("c1"), LookupError()])
    caller.go.set()

    async with aclosing(PaystubEndpoints(caller).list("a").items(prefetch=True)) as items:
        async for _ in items:
            await settle()
            break
    gc.collect()

    assert caller.asked == 2


async def test_an_endless_list_ends_with_prefetch_too():
    """The guard looks at pages before the next one is asked for."""
    caller = Endless(endless(()))

    with pytest.raises(CursorError):
        await _read(PaystubEndpoints(caller).list("a").items(prefetch=True))

    assert caller.asked == 10
