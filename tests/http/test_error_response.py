"""Answers of calls that failed: on their errors, and in `capture()`."""

import asyncio
import copy
import json
import pickle

import pytest
from aiohttp import web

from pinwheel_async import ApiError, DecodeError, RequestError, capture, with_reply
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.converters import make_converter
from pinwheel_async.errors import PinwheelError
from pinwheel_async.models import Account
from pinwheel_async.testing import make_account

ACCOUNT = item("get_account", "GET", "/v1/accounts/{account_id}", Account)
ACCOUNTS = page("list_accounts", "/v1/accounts", Account)
REFUSED = web.json_response({"error": {"message": "planted"}}, status=404, headers={"X-Planted": "planted"})
ODD = web.json_response(
    {"data": {**make_account().to_dict(), "created_at": "planted"}}, headers={"X-Planted": "planted"}
)
FAILURES = {"refused": (REFUSED, ApiError, 404), "odd": (ODD, DecodeError, 200)}


@pytest.fixture(params=FAILURES)
async def failure(request, mock_site, connect, ask):
    """A call that failed: its error, the class that it should be of, the status, and what was captured."""
    answer, kind, status = FAILURES[request.param]
    caller = await connect(mock_site(answer).base_url)
    with capture() as replies:
        try:
            await caller.call(ACCOUNT, ask())
        except PinwheelError as error:
            return error, kind, status, replies
    raise AssertionError


async def test_an_error_holds_its_answer(failure):
    """Status, headers and body are there for whoever asks."""
    error, kind, status, _ = failure

    assert isinstance(error, kind)
    assert (status, "planted") == (error.response.status, error.response.headers["x-planted"])
    assert b"planted" in error.response.body
    assert error.response.json()


async def test_a_failure_is_captured_with_its_error(failure):
    """A block that captures sees failing answers, too."""
    error, _, _, replies = failure

    (reply,) = replies
    assert (error, None, error.response) == (reply.error, reply.value, reply.response)
    assert reply.endpoint == "GET /v1/accounts/{account_id}"


async def test_an_error_shows_nothing_of_its_answer(failure):
    """Neither the texts nor the facts of an error hold what the server sent."""
    error, _, _, replies = failure
    facts = make_converter().unstructure(error)

    assert "planted" not in f"{error} {error!r} {error.response!r} {replies!r} {error.args}"
    assert "planted" not in json.dumps(facts)
    assert "response" not in facts


async def test_an_error_crosses_processes_without_its_answer(failure):
    """A pickle of an error has its facts and no response; a copy, which stays in its process, has it."""
    error, *_ = failure
    loaded, copied = pickle.loads(pickle.dumps(error)), copy.copy(error)  # noqa: S301  # our own bytes

    assert (str(error), type(error), None) == (str(loaded), type(loaded), loaded.response)
    assert error.response is copied.response is not None


async def test_an_error_that_was_read_back_has_no_answer(failure):
    """An error out of plain values has the attribute all the same."""
    error, *_ = failure
    converter = make_converter()

    assert converter.structure(converter.unstructure(error), PinwheelError).response is None


async def test_odd_items_hold_the_answer(mock_site, connect, ask):
    """The error of an item that was left out has the whole answer."""
    body = {"data": [{**make_account().to_dict(), "id": {}}], "meta": {"next_cursor": None}}
    caller = await connect(mock_site(web.json_response(body)).base_url)
    problems = []
    await caller.call(ACCOUNTS, ask(), on_error=problems.append)

    assert body == problems[0].response.json()


async def test_the_whole_answer_of_one_call(mock_site, connect, ask):
    """A call's value comes with everything around it."""
    caller = await connect(mock_site(web.json_response({"data": make_account().to_dict()})).base_url)

    reply = await with_reply(caller.call(ACCOUNT, ask()))

    assert (make_account(), 200, "GET /v1/accounts/{account_id}") == (
        reply.value,
        reply.response.status,
        reply.endpoint,
    )


async def test_the_whole_answer_of_a_call_that_fails(mock_site, connect, ask):
    """What fails raises as ever."""
    caller = await connect(mock_site(REFUSED).base_url)

    with pytest.raises(ApiError) as caught:
        await with_reply(caller.call(ACCOUNT, ask()))

    assert caught.value.response.status == 404


async def test_what_has_begun_elsewhere_has_no_answer_here(mock_site, connect, ask):
    """A task belongs to where it was started: that is said, with the cure."""
    caller = await connect(mock_site(web.json_response({"data": make_account().to_dict()})).base_url)
    task = asyncio.create_task(caller.call(ACCOUNT, ask()))

    with pytest.raises(RequestError, match="call must be one call of a client that has not begun"):
        await with_reply(task)
