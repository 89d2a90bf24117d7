"""Error chains: whoever reads one finds the line, and nobody a value."""

import asyncio
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from pinwheel_async.errors import (
    DecodeError,
    InboxError,
    NotFoundError,
    PinwheelError,
    SinkError,
    TransportError,
)
from pinwheel_async.webhooks._worker.error_chain import MAX_LENGTH, error_chain, suspended_at

PLACE = re.compile(r"[\w.<>]+ \([\w./<>-]+:\d+\)")
HERE = "tests/webhooks/worker/test_error_chain.py"


def caught(function, *arguments):
    """Return what a function raises."""
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001  # what is raised is what is tested
        return error
    raise AssertionError


def line_of(text):
    """Return the number of the line of this file that has a text in it."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.rstrip().endswith(f"# {text}"))


def decode():
    json.loads("planted-4711")  # decode


def convert():
    msgspec.convert({"planted-4711": 1}, type=list[int])  # convert


def look_up():
    {}["planted-4711"]  # look up


def compute():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(decode).result()  # compute


def connect():
    asyncio.run(asyncio.open_connection("planted-4711.invalid", 1))  # connect


@pytest.mark.parametrize("function", [decode, convert, look_up, compute, connect])
def test_the_line_of_the_handler_is_found(function):
    """However deep in a library an error is raised, the chain begins with file and line of the user's code."""
    chain = error_chain(caught(function))
    line = line_of(function.__name__.replace("_", " "))

    assert f"{__name__}.{function.__name__} ({HERE}:{line})" in chain
    assert "planted-4711" not in chain


def test_places_go_from_the_handler_down_to_the_raise():
    """Files are named as one finds them: those of packages and of the library relative to where these are installed."""
    chain = error_chain(caught(decode))
    places = PLACE.findall(chain)

    assert chain.startswith("json.decoder.JSONDecodeError at ")
    assert [f"{__name__}.decode", "json.loads"] == [place.partition(" ")[0] for place in places[1:3]]
    assert "(json/decoder.py:" in places[-1]


def wrap():
    try:
        look_up()
    except KeyError as error:
        raise ValueError("planted-4711") from error


def handle_badly():
    try:
        look_up()
    except KeyError:
        raise ValueError("planted-4711")  # noqa: B904  # that is what is tested


def hide():
    try:
        look_up()
    except KeyError:
        raise ValueError("planted-4711") from None


@pytest.mark.parametrize(
    ("function", "link"), [(wrap, ", from KeyError at "), (handle_badly, ", while handling KeyError at "), (hide, None)]
)
def test_causes(function, link):
    """What caused an error, or was being handled when it was raised, follows with its own places."""
    chain = error_chain(caught(function))

    assert (link or "KeyError") in chain if link else "KeyError" not in chain
    assert (f"{__name__}.look_up ({HERE}:{line_of('look up')})" in chain) is (link is not None)
    assert "planted-4711" not in chain


def test_groups():
    """Members of an exception group stand in brackets, a few of them."""
    members = [caught(look_up), caught(wrap), OSError("planted-4711"), OSError(), OSError()]
    chain = error_chain(ExceptionGroup("planted-4711", members))

    assert re.fullmatch(
        r"ExceptionGroup of \[KeyError at .*; ValueError at .*, from KeyError.*; OSError; 2 more\]", chain
    )
    assert "planted-4711" not in chain


def deepen(depth):
    if depth:
        deepen(depth - 1)
    raise RecursionError


def cause_many():
    error = None
    for _ in range(100):
        following = ValueError()
        following.__cause__ = error
        error = following
    raise error


def go_round():
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    raise first


def gather_many():
    raise ExceptionGroup("", [ExceptionGroup("", [caught(deepen, 50) for _ in range(50)]) for _ in range(50)])


@pytest.mark.parametrize("function", [lambda: deepen(500), cause_many, go_round, gather_many])
def test_length(function):
    """However deep, long or round it is, the chain is a line of bounded length."""
    chain = error_chain(caught(function))

    assert len(chain) <= MAX_LENGTH
    assert "\n" not in chain


def test_both_ends_of_many_frames():
    """Of many frames those of the handler and those that raised are shown."""
    chain = error_chain(caught(deepen, 50))

    assert " more > " in chain
    assert f"{__name__}.caught" in chain


@given(st.text(min_size=4, alphabet="XYZ"), st.lists(st.sampled_from(["from", "in", "group"]), max_size=5))
def test_no_text_is_shown(text, shapes):
    """No text of an error is in its chain, whatever the errors around it."""
    error: Exception = ValueError(text)
    for shape in shapes:
        outer = ExceptionGroup(text, [error]) if shape == "group" else OSError(7, text, text)
        if shape != "group":
            outer.__cause__, outer.__context__ = (error, None) if shape == "from" else (None, error)
        outer.add_note(text)
        error = outer

    assert text not in error_chain(error)


OURS = [
    NotFoundError(
        endpoint="GET /v1/accounts/{account_id}", status=404, code="RECORD_NOT_FOUND", server_message="planted"
    ),
    TransportError(endpoint="GET /v1/accounts", reason="ClientConnectorError", attempts=4, sent=False),
    DecodeError(where="paystubs.added", paths=["payload.params: not an object"]),
    InboxError("the inbox failed", reason="SQLITE_FULL"),
    SinkError("the database cannot be used", reason="ConnectionRefusedError", place="127.0.0.1:5432/payroll"),
]


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_errors_of_the_library(error):
    """What the library says of a call, a store or an answer, which holds no value, stands in a chain; no more does."""
    outer = caught(wrap_error, error)
    chain = error_chain(outer)

    assert f"{type(error).__module__}.{type(error).__name__} ({error}) at " in chain
    assert "planted" not in chain


def throw(error):
    raise error


def wrap_error(error):
    try:
        throw(error)
    except Exception as inner:
        raise RuntimeError("planted") from inner


def test_errors_that_only_resemble_those_of_the_library():
    """The text of a class of somebody else stands in no chain, although it is one of the library's, too."""

    class OwnError(SinkError):
        def __str__(self):
            return "planted"

    assert "planted" not in error_chain(OwnError("", reason=""))
    assert "planted" not in error_chain(PinwheelError("planted"))


def test_a_file_that_is_nowhere():
    """Of a file outside of packages and the working directory the last parts of its path are shown."""
    code = compile("def far():\n    raise ValueError\n", "/srv/somebody/private/shop/jobs/far.py", "exec")
    namespace = {"__name__": "jobs.far"}
    exec(code, namespace)  # noqa: S102  # a function in another file

    assert error_chain(caught(namespace["far"])).endswith("jobs.far.far (shop/jobs/far.py:2)")


async def test_where_a_task_waits():
    """A task that waits is found at each of its frames down to what it waits for."""

    async def inner():
        await asyncio.Event().wait()  # inner

    async def outer():
        await inner()

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    places = suspended_at(task.get_coro())
    task.cancel()

    assert [".outer", ".inner", ".wait"] == re.findall(r"\.\w+(?= \()", places)
    assert f"{HERE}:{line_of('inner')}" in places
    assert "" == suspended_at(None)


def test_the_place_of_the_installation_is_not_shown():
    """Paths of the standard library do not show where it is installed."""
    assert sys.prefix not in error_chain(caught(compute))
