"""From paths to rows."""

import pytest

from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.testing._api.routes import Routes, choose, placeholders


@pytest.fixture(scope="module")
def routes() -> Routes:
    """Every row."""
    return Routes(ENDPOINTS)


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.operation)
def test_every_row_is_found(routes, row):
    """Each row is found by its own path, and its placeholders get their names."""
    names = [segment[1:-1] for segment in row.path.split("/") if segment.startswith("{")]
    found = routes.find(row.path.format_map({name: f"the%20{name}" for name in names}))

    assert found
    assert row in found.rows[row.method]
    assert {name: f"the {name}" for name in names} == placeholders(row, found)


def test_literal_before_placeholder(routes):
    """A word of the API goes before a placeholder."""
    found = routes.find("/v1/employers/lookup")

    assert found
    assert "lookup_employer" == found.rows["GET"][0].operation


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/accounts/", "/v1/accounts/a/b", "/v1/accounts//paystubs", ""])
def test_no_row(routes, path):
    """A path that no row has leads nowhere."""
    assert routes.find(path) is None


def test_encoded_slash(routes):
    """An encoded slash is part of a value."""
    found = routes.find("/v1/end_users/a%2Fb/accounts")

    assert found
    assert ("a/b",) == found.values


@pytest.mark.parametrize(
    ("sent", "operation"),
    [
        (("org_name", "solution"), "create_link_token"),
        (("job", "org_name", "account_number", "routing_number", "account_type"), "legacy_create_link_token"),
        ((), "create_link_token"),
    ],
)
def test_shared_path(routes, sent, operation):
    """Of two rows with one path, the fields that were sent choose; the newer one is the default."""
    found = routes.find("/v1/link_tokens")

    assert found
    assert operation == choose(found.rows["POST"], sent).operation
