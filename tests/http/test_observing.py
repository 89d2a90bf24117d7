"""Observability of calls: raw replies, counts of drift, logs."""

import asyncio
import logging

import pytest

from pinwheel_async import capture
from pinwheel_async._core.endpoint import item
from pinwheel_async._core.page import RefreshableMeta
from pinwheel_async._http.observing import MAX_KINDS, OTHERS, Drift
from pinwheel_async.models import Income

INCOME = item("get_income", "GET", "/v1/things/{thing_id}", Income, meta=RefreshableMeta)
BODY = b'{"data": %s, "meta": {"refreshed_at": "2026-01-02T03:04:05Z"}}'


@pytest.fixture
def income():
    """An income as the API would send it."""
    return (
        b'{"id": "0f4fa7ff-6b1c-4f2b-8a53-3f0d2bd0b3d0", "account_id": "0f4fa7ff-6b1c-4f2b-8a53-3f0d2bd0b3d1",'
        b' "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",'
        b' "compensation_amount": 5000000, "compensation_unit": "annual", "currency": "USD", "pay_frequency": "weekly"}'
    )


async def test_value(mock_site, connect, ask, answer, income):
    """A call returns what its row promises."""
    site = mock_site(answer(200, BODY % income))
    caller = await connect(site.base_url)

    value = await caller.call(INCOME, ask())

    assert isinstance(value, Income)
    assert value.compensation_amount == 5000000


async def test_capture(mock_site, connect, ask, answer, income):
    """A block that captures gets the whole answer of each call in it: bytes, headers, meta."""
    site = mock_site(answer(200, BODY % income, X_Pinwheel_Request_Id="00000000-0000-4000-8000-000000000001"))
    caller = await connect(site.base_url)

    with capture() as replies:
        value = await caller.call(INCOME, ask())
    await caller.call(INCOME, ask())

    (reply,) = replies
    assert reply.value is value
    assert reply.response.body == BODY % income
    assert reply.response.request_id == "00000000-0000-4000-8000-000000000001"
    assert reply.meta.refreshed_at.isoformat() == "2026-01-02T03:04:05+00:00"


async def test_capture_in_child_tasks(mock_site, connect, row, ask, answer):
    """Calls in tasks that were started in the block are captured; others are not."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    with capture() as replies:
        inside = asyncio.create_task(caller.call(row(), ask()))
        await inside
    await asyncio.create_task(caller.call(row(), ask()))

    assert len(replies) == 1


async def test_capture_ends_for_tasks_that_live_on(mock_site, connect, row, ask, answer):
    """A task that outlives the block fills its list no more."""
    site = mock_site(answer())
    caller = await connect(site.base_url)
    go = asyncio.Event()

    async def later():
        await go.wait()
        await caller.call(row(), ask())

    with capture() as replies:
        task = asyncio.create_task(later())
    go.set()
    await task

    assert not replies


async def test_captures_nest(mock_site, connect, row, ask, answer):
    """An inner block captures its own calls, an outer one all."""
    site = mock_site(answer())
    caller = await connect(site.base_url)

    with capture() as outer:
        await caller.call(row(), ask())
        with capture() as inner:
            await caller.call(row(), ask())
        await caller.call(row(), ask())

    assert (len(outer), len(inner)) == (3, 1)


async def test_drift_is_counted(mock_site, connect, ask, answer, income):
    """What an answer left undocumented is counted by endpoint and place."""
    odd = income.replace(b'"2026-01-01T00:00:00Z", "updated_at"', b'null, "updated_at"')
    site = mock_site(answer(200, BODY % odd))
    caller = await connect(site.base_url)

    await caller.call(INCOME, ask())
    await caller.call(INCOME, ask())

    assert dict(caller.drift.counts) == {"GET /v1/things/{thing_id} data.created_at: null": 2}


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ("2023-11-22", "GET /v1/things/{thing_id} answered version 2023-11-22 for 2025-07-08"),
        ("planted", "GET /v1/things/{thing_id} answered version (unreadable) for 2025-07-08"),
    ],
)
async def test_other_version_is_counted(mock_site, connect, row, ask, answer, answered, kind):
    """An answer of another version than was asked for is counted; what is no version is not shown."""
    site = mock_site(answer(204, Pinwheel_Version=answered))
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert dict(caller.drift.counts) == {kind: 1}


async def test_same_version_is_no_drift(mock_site, connect, row, ask, answer):
    """The version that was asked for, by client or request, is not counted."""
    site = mock_site(answer(204, Pinwheel_Version="2025-07-08"), answer(204, Pinwheel_Version="2023-11-22"))
    caller = await connect(site.base_url)

    await caller.call(row(), ask())
    await caller.call(row(), ask(version="2023-11-22"))

    assert not caller.drift.counts


def test_drift_is_bounded():
    """However many kinds of drift there are, a bounded number is counted apart."""
    drift = Drift()
    for number in range(MAX_KINDS + 50):
        drift.record("GET /a", (f"data.x{number}: null",))
    drift.record("GET /a", ("data.x0: null",))

    assert len(drift.counts) == MAX_KINDS + 1
    assert drift.counts[OTHERS] == 50
    assert drift.counts["GET /a data.x0: null"] == 2


async def test_one_debug_line_per_attempt(mock_site, connect, row, ask, answer, caplog, time):
    """Each attempt is one line: endpoint, status, attempt, milliseconds, the server's id."""
    caplog.set_level(logging.DEBUG, "pinwheel_async.http")
    site = mock_site(answer(500), answer(204, X_Pinwheel_Request_Id="00000000-0000-4000-8000-000000000001"))
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert [record.getMessage() for record in caplog.records] == [
        "GET /v1/things/{thing_id}: 500, attempt 1, 0 ms, request unknown",
        "GET /v1/things/{thing_id}: 204, attempt 2, 0 ms, request 00000000-0000-4000-8000-000000000001",
    ]
    assert {record.event for record in caplog.records} == {"attempt"}


async def test_no_reply_in_the_log(connect, row, ask, caplog, unused_tcp_port):
    """An attempt without a reply is logged with the kind of trouble."""
    caplog.set_level(logging.DEBUG, "pinwheel_async.http")
    caller = await connect(f"http://127.0.0.1:{unused_tcp_port}")

    with pytest.raises(Exception, match="no reply"):
        await caller.call(row("POST"), ask("POST"))
    assert caplog.records[0].getMessage() == (
        "POST /v1/things/{thing_id}: ClientConnectorError (ECONNREFUSED), attempt 1, 0 ms, request unknown"
    )


async def test_request_id_that_is_none(mock_site, connect, row, ask, answer, caplog):
    """What does not look like an id is not logged as one."""
    caplog.set_level(logging.DEBUG, "pinwheel_async.http")
    site = mock_site(answer(204, X_Pinwheel_Request_Id="planted value"))
    caller = await connect(site.base_url)

    await caller.call(row(), ask())

    assert "planted" not in caplog.text
