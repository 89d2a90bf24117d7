"""Errors: one tree, facts as attributes, nothing in the text that must not be there."""

import copy
import inspect
import pickle

import pytest

import pinwheel_async
from pinwheel_async import errors
from pinwheel_async.errors import (
    ApiError,
    ClosedError,
    ConfigurationError,
    CursorError,
    DeadlineError,
    DecodeError,
    ErrorDetail,
    PinwheelError,
    RateLimitError,
    RequestError,
    SinkError,
    SupersededError,
    SyncError,
    TransportError,
)

KINDS = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, PinwheelError)]

API = {
    "endpoint": "GET /v1/a",
    "status": 429,
    "type": "T",
    "code": "C",
    "message": "planted",
    "details": [ErrorDetail("planted", "planted")],
    "request_id": "req-1",
    "retry_after_s": 2.5,
}

SAMPLES = [
    PinwheelError(),
    ConfigurationError("why"),
    RequestError(["a must be b", "c must be d"]),
    ClosedError(),
    TransportError(endpoint="GET /v1/a", reason="ClientOSError", attempts=2, sent=True),
    DeadlineError(endpoint="GET /v1/a", reason="TimeoutError", attempts=1, sent=False),
    RateLimitError(**API),
    DecodeError(where="GET /v1/a", paths=["data.x: not a date"], request_id="req-1"),
    CursorError(endpoint="GET /v1/a", pages=3),
    SinkError("could not write", reason="OSError"),
    SupersededError(),
]


@pytest.mark.parametrize("kind", KINDS)
def test_exported(kind):
    """Every error can be imported from the package."""
    assert getattr(pinwheel_async, kind.__name__) is kind
    assert kind.__name__ in pinwheel_async.__all__


@pytest.mark.parametrize("kind", KINDS)
def test_drawn(kind):
    """Every error stands in the tree of the module's docstring."""
    assert f"{kind.__name__} " in errors.__doc__ or f"{kind.__name__}\n" in errors.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConfigurationError, ValueError),
        (RequestError, ValueError),
        (ClosedError, RuntimeError),
        (DeadlineError, TimeoutError),
        (SyncError, ExceptionGroup),
    ],
)
def test_builtin_bases(kind, builtin):
    """Who catches the builtin that fits catches ours."""
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_pickles_and_copies(error):
    """Errors cross process borders and can be copied, with all their facts."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # our own bytes
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_group_pickles():
    """A group of errors crosses process borders, too."""
    group = SyncError("2 accounts", [ClosedError(), SAMPLES[4]])

    twin = pickle.loads(pickle.dumps(group))  # noqa: S301  # our own bytes

    assert [type(one) for one in twin.exceptions] == [ClosedError, TransportError]


def test_group_splits():
    """`except*` keeps the class of a group."""
    matched, rest = SyncError("2 accounts", [ClosedError(), SAMPLES[4]]).split(TransportError)

    assert (type(matched), type(rest)) == (SyncError, SyncError)


def test_default_message():
    """Without a message the docstring speaks."""
    assert str(ClosedError()) == "The client is closed; open it with `async with`."


def test_text_of_a_transport_error():
    """A transport error says where, why and how often."""
    assert str(SAMPLES[4]) == "GET /v1/a got no reply: ClientOSError, after 2 attempts"
    assert str(SAMPLES[5]) == "GET /v1/a got no reply: TimeoutError, after 1 attempt"


def test_text_of_an_api_error():
    """An API error says where, which status, type, code, wait and id; the server's prose is an attribute only."""
    error = ApiError(**API)

    assert str(error) == "GET /v1/a answered 429 T C, retry after 2.5 s (request req-1)"
    assert error.message == "planted"
    assert error.details[0].message == "planted"


@pytest.mark.parametrize("text", ["planted value", "planted\n", "plänted", "x" * 65, ""])
def test_odd_words_of_the_server(text):
    """What does not look like a code or an id is no part of the text."""
    error = ApiError(endpoint="GET /v1/a", status=400, type=text, code=text, request_id=text)

    assert str(error) == "GET /v1/a answered 400"


def test_many_paths():
    """A decode error shows the first five places and keeps all."""
    error = DecodeError(where="GET /v1/a", paths=[f"data[{number}]: null" for number in range(9)])

    assert str(error).endswith("data[4]: null; …")
    assert len(error.paths) == 9
