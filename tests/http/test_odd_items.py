"""Items that cannot be read, from the server to the caller."""

from aiohttp import web

from pinwheel_async._core.endpoint import page
from pinwheel_async.models import Account
from pinwheel_async.testing import make_account

ACCOUNTS = page("list_accounts", "/v1/accounts", Account)
PAGE = {
    "data": [make_account(0).to_dict(), {**make_account(1).to_dict(), "created_at": "planted"}],
    "meta": {"count": 2, "next_cursor": None},
}


async def test_odd_items_are_reported_and_left_out(mock_site, connect, ask):
    """The page holds the others; the error names endpoint, place and request, and no value."""
    site = mock_site(web.json_response(PAGE, headers={"X-Pinwheel-Request-Id": "00000000-0000-4000-8000-000000000001"}))
    caller = await connect(site.base_url)
    problems = []

    found = await caller.call(ACCOUNTS, ask(), on_error=problems.append)

    (problem,) = problems
    assert [make_account(0)] == list(found)
    assert ("GET /v1/accounts", "00000000-0000-4000-8000-000000000001") == (problem.where, problem.request_id)
    assert problem.paths[0].startswith("data[1].created_at: ")
    assert "planted" not in str(problem)
