"""The table of endpoints against the reference, which was made from the published specifications."""

import json
import re
from pathlib import Path

import pytest

from pinwheel_async.endpoints import ENDPOINTS

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "reference.json").read_text())
OPERATIONS = {fact["operation"]: fact for fact in REFERENCE["endpoints"]}
LEGACY = {fact["operation"]: fact for fact in REFERENCE["legacy"]["endpoints"]}
ROWS = {row.operation: row for row in ENDPOINTS}
AUTH = {"api_secret": "secret", "admin_bearer": "bearer", "none": "none"}
SHAPES = {"data": "object", "data_meta": "object", "data_list": "page", "empty_object": "nothing", "none": "nothing"}
REPEATABLE_POSTS = {
    "disable_monitoring",
    "disconnect_account",
    "create_link_token",
    "create_company_connect_link_token",
    "create_admin_token",
}

documented = pytest.mark.parametrize("operation", OPERATIONS)


def name(kind):
    return None if kind is None else kind.__name__


def names(parameters):
    return tuple(parameter["name"] for parameter in parameters)


def test_every_documented_operation_has_a_row():
    """The rows that are not deprecated are the documented operations, no more and no fewer."""
    assert set(OPERATIONS) == {row.operation for row in ENDPOINTS if not row.deprecated}


@documented
def test_method_and_path_are_documented(operation):
    """Method and path template, the names of its values included, are those of the reference."""
    row, truth = ROWS[operation], OPERATIONS[operation]

    assert (truth["method"], truth["path"]) == (row.method, row.path)
    assert names(truth["path_params"]) == tuple(re.findall(r"{(\w+)}", row.path))


@documented
def test_authentication_is_documented(operation):
    """The row says what the call identifies itself with."""
    assert AUTH[OPERATIONS[operation]["auth"]] == ROWS[operation].auth


@documented
def test_query_parameters_are_documented(operation):
    """The row has the documented query parameters and no other."""
    assert names(OPERATIONS[operation]["query_params"]) == ROWS[operation].query


@documented
def test_repeated_parameters_are_documented(operation):
    """The row knows which parameters take several values."""
    repeated = names([parameter for parameter in OPERATIONS[operation]["query_params"] if parameter["repeated"]])

    assert repeated == ROWS[operation].repeated


@documented
def test_the_body_is_documented(operation):
    """The row names the model of the body."""
    assert OPERATIONS[operation]["request_model"] == name(ROWS[operation].body)


@documented
def test_the_result_is_documented(operation):
    """The row names the model of what comes back."""
    assert OPERATIONS[operation]["response_model"] == name(ROWS[operation].result)


@documented
def test_the_meta_is_documented(operation):
    """The row names the model of what is said about the answer."""
    assert OPERATIONS[operation]["meta_model"] == name(ROWS[operation].meta)


@documented
def test_the_envelope_is_documented(operation):
    """The row knows whether a list, an object or nothing comes."""
    assert SHAPES[OPERATIONS[operation]["envelope"]] == ROWS[operation].shape


@documented
def test_only_what_makes_something_must_not_be_repeated(operation):
    """Everything may be sent twice, but not a POST that makes what must not be there twice."""
    row = ROWS[operation]

    assert (row.method != "POST" or operation in REPEATABLE_POSTS) is row.repeatable


@pytest.mark.parametrize("operation", [row.operation for row in ENDPOINTS if row.deprecated])
def test_a_deprecated_row_is_what_the_oldest_reference_says(operation):
    """Method, path and body of a row from before 2021-04-29 are those of that time."""
    row, truth = ROWS[operation], LEGACY[operation]

    assert (truth["method"], truth["path"], truth["request_model"]) == (row.method, row.path, name(row.body))


def test_every_old_call_is_served():
    """What only the oldest reference has is a deprecated row; the rest is served by the row of today."""
    today = {(row.method, row.path) for row in ENDPOINTS}

    assert {(fact["method"], fact["path"]) for fact in LEGACY.values()} <= today
