"""Error classes: one tree, facts as attributes, and no text of the server in their messages."""

import copy
import inspect
import pickle

import pytest
from sentry_sdk.utils import get_error_message

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
    UnconfirmedRemovalError,
)

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, PinwheelError)]

REQUEST_ID = "00000000-0000-4000-8000-000000000001"

API = {
    "endpoint": "GET /v1/a",
    "status": 429,
    "type": "INVALID_REQUEST_PARAMETERS",
    "code": "MISSING_FIELDS",
    "server_message": "planted",
    "details": [ErrorDetail("planted", "planted")],
    "request_id": REQUEST_ID,
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
    DecodeError(where="GET /v1/a", paths=["data.x: not a date"], request_id=REQUEST_ID),
    CursorError(endpoint="GET /v1/a", pages=3),
    SinkError("could not write", reason="OSError"),
    SupersededError(),
    UnconfirmedRemovalError(),
    DeadlineError(endpoint="GET /v1/a", reason="requests_per_s", attempts=0, sent=False, wait_s=3.14),
    DeadlineError(endpoint="GET /v1/a", reason="concurrency", attempts=0, sent=False, wait_s=60),
    RateLimitError(**API, unsent="GET /v1/b"),
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
    """An `except` of the builtin error catches ours."""
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_pickles_and_copies(error):
    """Errors cross process borders with all their facts, and can be copied with everything."""
    pickled, copied = pickle.loads(pickle.dumps(error)), copy.copy(error)  # noqa: S301  # our own bytes
    for again in (pickled, copied):
        assert type(again) is type(error)
        assert str(again) == str(error)
    assert vars(copied) == vars(error)
    assert vars(pickled) == {
        **vars(error),
        **({"server_message": None, "details": ()} if "details" in vars(error) else {}),
    }


def test_pickle_holds_no_text_of_the_server():
    """A pickled error has dropped what the server wrote, also where it stands in place of a code or an id."""
    odd = dict.fromkeys(("type", "code", "request_id"), "planted")
    error = ApiError(**{**API, **odd})
    error.response = "planted"  # whatever else comes to be kept beside it

    stored = pickle.dumps(error)

    assert b"planted" not in stored
    again = pickle.loads(stored)  # noqa: S301  # our own bytes
    assert (again.server_message, again.details, again.type, again.code, again.request_id) == (
        None,
        (),
        None,
        None,
        None,
    )


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_attributes_that_tools_read_by_convention(error):
    """No error has an attribute that a tool would show in place of its text."""
    assert not {"message", "detail", "description", "strerror"} & set(vars(error))


@pytest.mark.parametrize(
    "error",
    [error for error in SAMPLES if not isinstance(error, ConfigurationError)],
    ids=lambda error: type(error).__name__,
)
def test_title_in_sentry(error):
    """Sentry names an issue by the text of the error, endpoint and status included."""
    assert get_error_message(error) == str(error)


def test_group_pickles():
    """A group of errors crosses process borders, too."""
    group = SyncError("2 accounts", [ClosedError(), SAMPLES[4]])

    copied = pickle.loads(pickle.dumps(group))  # noqa: S301  # our own bytes

    assert [type(error) for error in copied.exceptions] == [ClosedError, TransportError]


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


def test_host_of_a_transport_error():
    """A transport error names the host that was called, where it is known."""
    error = TransportError(endpoint="GET /v1/a", reason="ClientOSError", attempts=1, sent=True, host="api.example:81")

    assert str(error) == "GET /v1/a got no reply from api.example:81: ClientOSError, after 1 attempt"


def test_text_of_a_refusal():
    """A call that the client itself did not send names what held it back, for how long, and the cure."""
    rate, slots, pause = map(str, SAMPLES[-3:])

    assert rate == (
        "GET /v1/a was not sent: under the client's own requests_per_s its turn would have come after 3.1 s; "
        "give it more timeout_s, or let it wait in background()"
    )
    assert "under the client's own concurrency no slot came free for 60.0 s" in slots
    assert pause == (
        "GET /v1/b was not sent, because GET /v1/a answered 429 INVALID_REQUEST_PARAMETERS MISSING_FIELDS, "
        "retry after 2.5 s (request 00000000-0000-4000-8000-000000000001)"
    )


def test_text_of_an_api_error():
    """An API error says where, which status, type, code, wait and id; the server's prose is an attribute only."""
    error = ApiError(**API)

    assert str(error) == (
        f"GET /v1/a answered 429 INVALID_REQUEST_PARAMETERS MISSING_FIELDS, retry after 2.5 s (request {REQUEST_ID})"
    )
    assert error.server_message == "planted"
    assert error.details[0].message == "planted"


@pytest.mark.parametrize(
    "text",
    [
        "planted value",
        "planted\n",
        "PLANTED_VALUE\n",
        "plänted",
        "planted",
        "PLANTED",
        "123-45-6789",
        "4711",
        "A_1",
        "INVALID_123456789",
        "_A_B",
        "A__B",
        "planted@example.com",
        "00000000-0000-4000-8000-00000000000x",
        "A_" * 31 + "AAA",
        "",
    ],
)
def test_odd_words_of_the_server(text):
    """What does not look like the documented codes and ids is no part of the text; as attributes they stay."""
    error = ApiError(endpoint="GET /v1/a", status=400, type=text, code=text, request_id=text)

    assert str(error) == "GET /v1/a answered 400"
    assert (error.type, error.code, error.request_id) == (text, text, text)
    assert DecodeError(where="GET /v1/a", paths=["data: null"], request_id=text).request_id is None


@pytest.mark.parametrize(
    "word",
    ["INVALID_REQUEST_PARAMETERS", "UNAUTHORIZED_REQUEST", "RECORD_NOT_FOUND", "UNKNOWN_ERROR", "MISSING_FIELDS"],
)
def test_documented_words_of_the_server(word):
    """The documented types and codes are part of the text."""
    assert str(ApiError(endpoint="GET /v1/a", status=400, code=word)) == f"GET /v1/a answered 400 {word}"


def test_many_paths():
    """A decode error shows the first five places and keeps all."""
    error = DecodeError(where="GET /v1/a", paths=[f"data[{number}]: null" for number in range(9)])

    assert str(error).endswith("data[4]: null; …")
    assert len(error.paths) == 9
