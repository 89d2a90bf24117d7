"""Replies: what an answer that is no success becomes, and what the errors of the others say."""

import json

import pytest

from pinwheel_async._core.reply import api_error, read_reply
from pinwheel_async._core.versions import lift
from pinwheel_async._core.wire import Response
from pinwheel_async._http.raw import raw_call
from pinwheel_async.endpoints._table import ENDPOINTS
from pinwheel_async.errors import (
    ApiError,
    ConflictError,
    DecodeError,
    ErrorDetail,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
    UnauthorizedError,
)
from pinwheel_async.models import Account

REQUEST_ID = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
ROWS = {row.operation: row for row in ENDPOINTS}


def answer(status=200, body: object = None, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers={"x-pinwheel-request-id": REQUEST_ID, **headers}, body=content)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, ApiError),
        (304, ApiError),
        (400, InvalidRequestError),
        (401, UnauthorizedError),
        (402, ApiError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, ApiError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (499, ApiError),
        (500, ServerError),
        (599, ServerError),
    ],
)
def test_every_status_has_its_error(status, kind):
    """What is no success is an error of the class of its status, which names the endpoint and keeps the answer."""
    response = answer(status, {"data": {}})

    with pytest.raises(ApiError) as caught:
        read_reply(ROWS["get_account"], response, version="2025-07-08")

    error = caught.value
    assert (kind, "GET /v1/accounts/{account_id}", status) == (type(error), error.endpoint, error.status)
    assert error.response is response


def test_what_the_server_says():
    """Type, code, text and details of an error are those of the body, the id that of the header."""
    document = {
        "type": "INVALID_REQUEST",
        "code": "INVALID_FIELDS",
        "message": "a text",
        "fields": [{"name": "limit", "message": "too large"}, {"name": "cursor"}, {"message": 7}, "odd"],
    }

    error = api_error("GET /v1/accounts", answer(400, {"error": document}))

    assert ("INVALID_REQUEST", "INVALID_FIELDS", "a text", REQUEST_ID) == (
        error.type,
        error.code,
        error.server_message,
        error.request_id,
    )
    assert [("limit", "too large"), ("cursor", None), (None, None), (None, None)] == [
        (detail.name, detail.message) for detail in error.details
    ]
    assert {ErrorDetail} == set(map(type, error.details))


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"null", b"[]", b'{"error":7}', b'{"error":{"fields":{}}}'])
def test_an_answer_of_a_proxy(body):
    """Whatever the body of an error is, the error says as much as is known."""
    error = api_error("GET /v1/accounts", answer(502, body))

    assert (502, None, None, None, ()) == (error.status, error.type, error.code, error.server_message, error.details)


@pytest.mark.parametrize(
    ("row", "response", "problem"),
    [
        (ROWS["get_account"], answer(200, b"{"), "(body): JSON that is cut off"),
        (ROWS["list_accounts"], answer(200, {"data": [{"id": "a"}] * 25, "meta": {}}), "meta.next_cursor: missing, "),
        (ROWS["disconnect_account"], answer(200, b"<html>"), "(body): not a JSON object"),
        (ROWS["disconnect_account"], answer(202, {}), "status: 202, neither 200 nor 204"),
        (ROWS["disconnect_account"], answer(200, {"error": {}}), "(body): an error"),
        (
            raw_call("GET", "/v1/new", query=None, body=None, cast_to=None, name=None)[0],
            answer(200, b"{"),
            "(body): JSON that is cut off",
        ),
    ],
    ids=["object", "page", "html", "202", "error", "raw"],
)
def test_an_answer_that_is_none(row, response, problem):
    """The error of an answer that cannot be read names endpoint, id and place, and keeps the answer."""
    with pytest.raises(DecodeError) as caught:
        read_reply(row, response, version="2025-07-08")

    error = caught.value
    assert (row.name, REQUEST_ID) == (error.where, error.request_id)
    assert error.paths[0].startswith(problem)
    assert error.response is response


def test_a_reply_names_its_endpoint():
    """A reply of plain JSON tells where it comes from, that nothing was odd, and the answer."""
    row, _ = raw_call("GET", "/v1/new", query=None, body=None, cast_to=None, name="/v1/{x}")
    response = answer(200, {"a": 1})

    reply = read_reply(row, response, version="2025-07-08")

    assert ("GET /v1/{x}", {"a": 1}, (), None) == (reply.endpoint, reply.value, reply.drift, reply.meta)
    assert reply.response is response


def test_a_raw_page_without_meta():
    """A page that says nothing about itself is the last one."""
    row, _ = raw_call("GET", "/v1/new", query=None, body=None, cast_to=Account, name=None)
    found = read_reply(ROWS["list_accounts"], answer(200, {"data": []}), version="2025-07-08").value

    assert found.next_cursor is None
    assert row.result is Account


@pytest.mark.parametrize(
    ("seconds", "moment"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (1604311200, "2020-11-02T10:00:00+00:00"),
        (99_999_999_999, "5138-11-16T09:46:39+00:00"),
        (100_000_000_000, 100_000_000_000),
        (-1, -1),
        (True, True),
        ("soon", "soon"),
    ],
)
def test_seconds_become_a_moment(seconds, moment):
    """Unix seconds of an old Link token are a moment in UTC; what cannot be seconds is left to the reader."""
    assert moment == lift("LinkToken", {"expires": seconds}, "2020-01-01")["expires"]


def test_an_id_that_is_there_stays():
    """`token_id` takes the place of a missing id only."""
    assert {"id": "a", "token_id": "b"} == lift("LinkToken", {"id": "a", "token_id": "b"}, "2020-01-01")


@pytest.mark.parametrize(
    ("params", "lifted"),
    [
        (
            {"amount": 12500, "action": "full_switch"},
            {"action": "full_switch", "allocation": {"type": "amount", "value": 12500, "target": None}},
        ),
        ({"amount": None, "action": "a"}, {"action": "a", "allocation": None}),
        ({"amount": 1, "allocation": None}, {"allocation": {"type": "amount", "value": 1, "target": None}}),
        ({"amount": 1, "allocation": {}}, {"amount": 1, "allocation": {}}),
        ({"action": "a"}, {"action": "a"}),
    ],
)
def test_an_amount_becomes_an_allocation(params, lifted):
    """The amount of an old deposit switch becomes an allocation, unless it has one, and the rest stays."""
    assert {"id": "a", "params": lifted} == lift("Job", {"id": "a", "params": params}, "2022-01-01")


@pytest.mark.parametrize(
    ("category", "lifted"),
    [("state", "state_income"), ("local", "local_income"), ("fica", "fica"), (7, 7), (None, None)],
)
def test_tax_categories(category, lifted):
    """Two categories of taxes have another name now, and time off has its list."""
    paystub = {"taxes": [{"category": category}, "odd"], "currency": "usd"}

    assert {"taxes": [{"category": lifted}, "odd"], "currency": "USD", "time_off": []} == lift(
        "Paystub", paystub, "2021-01-01"
    )


def test_time_off_stays():
    """A list of time off that is there is kept."""
    assert [1] == lift("Paystub", {"taxes": [], "time_off": [1]}, "2021-01-01")["time_off"]
