"""Headers of a response: a view that copies nothing, and behaves as the dict of lower-case names that it stands for."""

import copy
import pickle

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pinwheel_async._response import Response, ResponseHeaders

PLAIN = {"content-type": "application/json", "x-pinwheel-request-id": "an-id", "set-cookie": "a"}


@pytest.fixture
def headers():
    given = CIMultiDict({"Content-Type": "application/json", "X-Pinwheel-Request-Id": "an-id", "Set-Cookie": "a"})
    given.add("set-cookie", "b")
    return ResponseHeaders(CIMultiDictProxy(given))


def test_names_are_in_lower_case(headers):
    """Whoever goes through the headers finds each name once, in lower case, and the first of its values."""
    assert dict(headers) == PLAIN
    assert headers == PLAIN
    assert len(headers) == len(PLAIN)


def test_names_are_found_in_whatever_case(headers):
    """A header is found under its name, however that is written; another one is not there."""
    assert headers["Content-Type"] == headers["content-type"] == headers.get("CONTENT-TYPE") == "application/json"
    assert "content-TYPE" in headers
    assert "retry-after" not in headers
    assert headers.get("retry-after") is None
    with pytest.raises(KeyError):
        headers["retry-after"]


def test_headers_show_nothing(headers):
    """What renders headers shows their class."""
    assert repr(headers) == "<ResponseHeaders>"


def test_headers_are_pickled_and_copied_as_they_are(headers):
    """A response with its headers goes through pickle and copy, and stays equal."""
    response = Response(status=200, headers=headers, body=b"")

    for other in (pickle.loads(pickle.dumps(response)), copy.deepcopy(response)):  # noqa: S301  # our own
        assert other == response
        assert other.request_id == "an-id"
