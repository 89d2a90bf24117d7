"""Privacy of every public method, in every tool that looks inside: nothing planted is in what they make of an outcome.

Every argument and every answer is planted. What tools make of an outcome is its text, its repr, its pickle, and its
traceback with the local variables of every frame but those of this file, which stand for the user's own.
"""

import asyncio
import inspect
import json
import logging
import pickle
import re
import traceback
import typing
import warnings
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import pytest
import structlog
from aiohttp import web
from rich.pretty import pretty_repr
from rich.traceback import Traceback
from sentry_sdk.consts import DEFAULT_OPTIONS
from sentry_sdk.serializer import serialize
from sentry_sdk.utils import event_from_exception

from pinwheel_async import (
    ApiError,
    DecodeError,
    Pinwheel,
    PinwheelError,
    RetryPolicy,
    TransportError,
)
from pinwheel_async._core.converter import encode
from pinwheel_async.endpoints import ENDPOINTS, Paged
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.link import parse_link_event
from pinwheel_async.models import (
    CompanyConnectOptions,
    Identity,
    LinkTokenAllocation,
    LinkTokenBankAccount,
    LinkTokenCard,
    LinkTokenEndUser,
    PlatformMatching,
)
from pinwheel_async.models.link_token import LinkTokenRequest
from pinwheel_async.testing import make
from pinwheel_async.webhooks import KeyRing, Receiver, Router, SqliteInbox, parse_delivery, webhook_app

SECRET = "planted-secret"
PLANTED = re.compile(r"planted|47114711|1951-07-31|1951, 7, 31")
UUID = "00000000-0000-4000-8000-000000000001"
MOMENT = datetime(1951, 7, 31, tzinfo=UTC)

Serve = Callable[..., Awaitable[Any]]


def _methods() -> list[tuple[str, str]]:
    """Return group and name of every public method of every group of endpoints."""
    groups = vars(Pinwheel(SECRET))
    return [
        (group, name)
        for group, endpoints in groups.items()
        if isinstance(endpoints, Endpoints)
        for name, _ in inspect.getmembers(type(endpoints), inspect.isfunction)
        if not name.startswith("_") and (group, name) not in _OF_LINKS
    ]


_OF_LINKS = {("documents", "download"), ("documents", "save")}
"""They call no endpoint but follow a link; the tests of downloads look at what tools make of their errors."""

METHODS = _methods()

TEXTS = {
    "ein": "471147110",
    "url": "https://planted.example/planted?token=planted",
    "redirect_url": "https://planted.example/planted?token=planted",
    "account_number": "471147110",
    "routing_number": "471147110",
    "version": "2025-07-08",
}
"""Text that passes the checks of its parameter, where not any text does."""

ACCOUNT = LinkTokenBankAccount(name="planted", type="checking", routing_number="471147110", account_number="471147110")
CARD = LinkTokenCard(
    name_on_card="planted",
    card_name="planted",
    card_number="4711471147114711",
    card_zip_code="47114",
    expiration_date=date(2026, 1, 2),
)

CREATE_LINK_TOKEN: dict[str, Any] = {
    "org_name": "planted",
    "solution": "Deposit Switch",
    "features": ["direct_deposit_switch"],
    "end_user_id": "planted",
    "allocation": LinkTokenAllocation(targets=(ACCOUNT,)),
    "tags": {"planted": "planted"},
    "end_user": LinkTokenEndUser(
        platform_matching=PlatformMatching(last_name="planted", social_security_number="471147110")
    ),
    "cards": [CARD],
}


def _arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """Return a planted value for each parameter."""
    function = inspect.unwrap(method)
    if function.__qualname__ == "LinkTokenEndpoints.create":
        return dict(CREATE_LINK_TOKEN)
    hints = typing.get_type_hints(function)
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return {name: _value(name, hints[name]) for name in names}


def _value(name: str, hint: Any) -> Any:  # noqa: PLR0911, C901  # one line for each kind of type
    kinds = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    kinds = tuple(kind for kind in kinds if kind is not NoneType)
    for kind in kinds:
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
    kind = kinds[0]
    if str in kinds:
        return TEXTS.get(name, f"planted-{name}")
    if kind is bool:
        return True
    if kind in {int, float}:
        return 1000 if name == "ttl" else 10
    if kind is Decimal:
        return Decimal("47114711.00")
    if kind is datetime:
        return MOMENT
    if kind is date:
        return MOMENT.date()
    if kind is CompanyConnectOptions:
        return CompanyConnectOptions()
    origin = get_origin(kind)
    if isinstance(origin, type) and issubclass(origin, typing.Mapping):  # type: ignore[arg-type]
        return {"planted": "planted"}
    return [_value(name, get_args(kind)[0])]


async def _call(pinwheel: Pinwheel, group: str, name: str, arguments: dict[str, Any]) -> Any:
    """Call, read a list to its end, and return the value, or the error instead of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            called = getattr(getattr(pinwheel, group), name)(**arguments)
        return await (called.all() if isinstance(called, Paged) else called)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # to look at it
        return error


def made_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield what each tool makes of an error."""
    yield "text", f"{error} {error!r} {error.args!r} {getattr(error, '__notes__', '')}"
    yield "vars", pretty_repr({name: value for name, value in vars(error).items() if name not in _SERVERS_OWN})
    yield "format", "".join(_own(_std(error)))
    info = (type(error), error, error.__traceback__)
    for stack in Traceback.extract(*info, show_locals=True).stacks:
        frames = [frame for frame in stack.frames if frame.filename != __file__]
        shown = [{name: str(node) for name, node in (frame.locals or {}).items()} for frame in frames]
        yield "rich", f"{stack.exc_value} {shown}"
    for found in structlog.tracebacks.ExceptionDictTransformer()(info):
        frames = [frame for frame in found["frames"] if frame["filename"] != __file__]
        yield "structlog", repr([found["exc_value"], frames])
    event, _ = event_from_exception(info, client_options=DEFAULT_OPTIONS)
    for value in serialize(event)["exception"]["values"]:
        frames = (
            [frame for frame in value["stacktrace"]["frames"] if frame["abs_path"] != __file__]
            if "stacktrace" in value
            else []
        )
        yield "Sentry", repr([value["value"], value["type"], [frame.get("vars") for frame in frames]])
    if isinstance(error, PinwheelError):
        yield "pickle", pickle.dumps(error).decode("latin-1")


_SERVERS_OWN = {"server_message", "details", "type", "code", "request_id"}
"""What an error is asked for, and no tool shows by itself."""


def _std(error: BaseException) -> traceback.TracebackException:
    return traceback.TracebackException.from_exception(error, capture_locals=True)


def _own(shown: traceback.TracebackException | None) -> Iterator[str]:
    if shown is None:
        return
    yield from shown.format_exception_only()
    for frame in shown.stack:
        if frame.filename != __file__:
            yield f"{frame.filename} {frame.name} {frame.locals}\n"
    for inner in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        yield from _own(inner)


def assert_clean(outcome: Any, *more: str) -> None:
    """Fail with tool and surroundings of the first planted value."""
    texts = list(made_of(outcome)) if isinstance(outcome, BaseException) else [("repr", repr(outcome))]
    texts += [("rich", pretty_repr(outcome)), *(("log", text) for text in more)]
    for tool, text in texts:
        found = PLANTED.search(text)
        assert found is None, f"{tool} shows {text[max(0, found.start() - 300) : found.end() + 60]}"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return all that was logged at DEBUG, with the attributes of the records."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + repr([sorted(map(repr, vars(record).items())) for record in caplog.records])


every_method = pytest.mark.parametrize(("group", "name"), METHODS, ids=[".".join(method) for method in METHODS])


@every_method
async def test_success(serve: Serve, logged, group, name):
    """A call that succeeds shows nothing of what was sent and what came."""
    site = await serve(_planted_answer)
    async with _client(site) as pinwheel:
        value = await _call(pinwheel, group, name, _arguments(getattr(getattr(pinwheel, group), name)))

        assert not isinstance(value, BaseException), value
        assert site.arrivals
        assert_clean(value, repr(pinwheel.drift), logged())


HOSTILE: dict[str, Any] = {
    "half a character": "planted\ud800",
    "bytes": b"planted",
    "a list": ["planted", b"planted"],
    "an object": {"planted": "planted", "platform_matching": {"social_security_number": "471147110"}},
    "a number": 47114711,
    "an exception": ValueError("planted"),
}


@every_method
async def test_wrong_argument(serve: Serve, logged, group, name):
    """Whatever is given for whichever parameter: what comes of it shows no argument."""
    site = await serve(_odd_answer)
    async with _client(site) as pinwheel:
        good = _arguments(getattr(getattr(pinwheel, group), name))
        for parameter in good:
            for hostile in HOSTILE.values():
                assert_clean(await _call(pinwheel, group, name, {**good, parameter: hostile}))
        assert_clean(await _call(pinwheel, group, name, {**good, "no_such_parameter": "planted"}))
        assert_clean(None, logged())


@every_method
async def test_error_of_the_server(serve: Serve, logged, group, name):
    """An error that the server answers shows nothing of what was sent, nor of what the server wrote."""
    problem = {"name": "planted", "message": "planted"}
    planted = {
        "type": "planted",
        "code": "123-planted-6789",
        "message": "planted",
        "status_code": 400,
        "fields": [problem],
    }
    site = await serve(web.Response(status=400, text=json.dumps({"error": planted}), headers=_ODD_HEADERS))
    async with _client(site) as pinwheel:
        error = await _call(pinwheel, group, name, _arguments(getattr(getattr(pinwheel, group), name)))

        assert isinstance(error, ApiError)
        assert_clean(error, logged())


@every_method
async def test_odd_answer(serve: Serve, logged, group, name):
    """An answer of another shape shows nothing of it."""
    site = await serve(_odd_answer)
    async with _client(site) as pinwheel:
        error = await _call(pinwheel, group, name, _arguments(getattr(getattr(pinwheel, group), name)))

        assert isinstance(error, ApiError | DecodeError | NoneType)
        assert_clean(error, logged())


@every_method
async def test_no_answer(serve: Serve, logged, group, name):
    """A call that got no answer in time shows nothing of what was sent."""
    site = await serve(_never)
    async with Pinwheel(SECRET, base_url=site.base_url, timeout_s=0.02, retry=RetryPolicy(attempts=1)) as pinwheel:
        error = await _call(pinwheel, group, name, _arguments(getattr(getattr(pinwheel, group), name)))

        assert isinstance(error, TransportError)
        assert_clean(error, logged())


@every_method
async def test_cancellation(serve: Serve, logged, group, name):
    """A call whose caller lost patience shows nothing, neither in the `TimeoutError` nor in its cause."""
    site = await serve(_never)
    async with _client(site) as pinwheel:
        arguments = _arguments(getattr(getattr(pinwheel, group), name))

        async def hurry() -> Any:
            async with asyncio.timeout(0.02):
                raise await _call(pinwheel, group, name, arguments)

        with pytest.raises(TimeoutError) as caught:
            await hurry()
        assert isinstance(caught.value.__context__, asyncio.CancelledError)  # before 3.11.3 it is not called the cause
        assert_clean(caught.value, logged())


async def test_cursor_that_cannot_be_sent(serve: Serve):
    """A cursor of the server that no request can hold shows neither itself nor the token of the list."""
    page = {"data": [], "meta": {"next_cursor": "planted\ud800"}}
    site = await serve(web.Response(text=json.dumps(page)))
    async with _client(site) as pinwheel:
        assert_clean(await _call(pinwheel, "admin", "list_api_keys", {"token": "planted"}))


REFUSALS: dict[str, Callable[[], Any]] = {
    "secret of bytes": lambda: Pinwheel(b"planted"),  # type: ignore[arg-type]
    "secret that cannot be sent": lambda: Pinwheel("planted\n"),
    "secret of no text": lambda: Pinwheel(["planted"]),  # type: ignore[arg-type]
    "environment": lambda: Pinwheel(SECRET, environment="planted"),  # type: ignore[arg-type]
    "base URL with a password": lambda: Pinwheel(SECRET, base_url="https://user:planted@api.example"),
    "base URL of bytes": lambda: Pinwheel(SECRET, base_url=b"https://planted"),  # type: ignore[arg-type]
    "version": lambda: Pinwheel(SECRET, version="planted"),
    "timeout": lambda: Pinwheel(SECRET, timeout_s="planted"),  # type: ignore[arg-type]
    "unknown setting": lambda: Pinwheel(SECRET, no_such="planted"),  # type: ignore[call-arg]
    "Link event": lambda: parse_link_event("dd_form_create", {"url": ["https://planted"]}),
    "Link event of another shape": lambda: parse_link_event("success", ["planted"]),
    "Link event of no name": lambda: parse_link_event(47114711, "planted"),  # type: ignore[arg-type]
    "document": lambda: Identity.from_dict({"full_name": ["planted"]}),
    "document of no kind": lambda: Identity.from_dict(["planted"]),  # type: ignore[arg-type]
    "JSON": lambda: Identity.from_json('{"full_name": ["planted"]}'),
    "no JSON": lambda: Identity.from_json("planted"),
    "JSON of no kind": lambda: Identity.from_json(47114711),  # type: ignore[arg-type]
    "value that is no JSON": lambda: attrs.evolve(make(Identity), full_name=ValueError("planted")).to_json(),
    "keys of bytes": lambda: KeyRing([b"planted"]),  # type: ignore[list-item]
    "keys of no kind": lambda: KeyRing(47114711),  # type: ignore[arg-type]
    "receiver": lambda: Receiver(Router(), ["planted\n"]),
    "receiver of other settings": lambda: Receiver(Router(), ["planted"], concurrency="planted"),  # type: ignore[arg-type]
    "application": lambda: webhook_app(Router(), secrets=["planted"], max_body_bytes=0),
    "application with a short token": lambda: webhook_app(Router(), secrets=["s"], health_auth="planted"),
    "inbox": lambda: SqliteInbox("planted.db", key=b"planted"),
    "delivery": lambda: parse_delivery({"x-timestamp": "planted"}, b"planted", secrets=["planted"]),
    "delivery of text": lambda: parse_delivery({}, "planted", secrets=["s"]),  # type: ignore[arg-type]
    "delivery of other headers": lambda: parse_delivery("planted", b"planted", secrets=["s"]),  # type: ignore[arg-type]
    "request with a misspelt name": lambda: LinkTokenRequest(**CREATE_LINK_TOKEN, no_such="planted"),
}


@pytest.mark.parametrize("refused", REFUSALS)
def test_refusal(refused):
    """What is refused where it is made is in no frame of the library."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is another test's claim
        REFUSALS[refused]()

    assert_clean(caught.value)


async def test_snapshot(serve: Serve, logged):
    """A snapshot whose argument is refused, and one of which nothing can be read, show nothing."""
    site = await serve(_odd_answer)
    async with _client(site) as pinwheel:
        for arguments in (
            {"account_id": "planted"},
            {"account_id": b"planted"},
            {"account_id": UUID, "products": ["planted"]},
        ):
            try:
                value: Any = await pinwheel.snapshot(**arguments)
            except Exception as error:  # noqa: BLE001  # to look at it
                value = error
            assert_clean(
                value, *(text for error in getattr(value, "errors", {}).values() for _, text in made_of(error))
            )
    assert_clean(None, logged())


def test_frames_of_the_caller_are_left():
    """The local variables of the user's own frames stay, and so do names and lines of the library's."""
    pinwheel = Pinwheel(SECRET)

    def user() -> None:
        mine = "kept"
        assert mine
        pinwheel.paystubs.list("planted", limit=0)

    with pytest.raises(ValueError, match="limit") as caught:
        user()

    frames = _std(caught.value).stack
    assert "'kept'" in next(frame for frame in frames if frame.name == "user").locals["mine"]
    assert {"list", "request"} <= {frame.name for frame in frames}


def test_earlier_error_of_the_caller_is_left():
    """An error that the user was handling keeps its local variables."""
    pinwheel = Pinwheel(SECRET)

    def user() -> None:
        mine = "kept"
        raise KeyError(mine)

    def recover() -> None:
        try:
            user()
        except KeyError:
            pinwheel.paystubs.list("planted", limit=0)

    with pytest.raises(ValueError, match="limit") as caught:
        recover()

    context = _std(caught.value).__context__
    assert "'kept'" in context.stack[-1].locals["mine"]


_ODD_HEADERS = {"x-pinwheel-request-id": "123-planted-6789", "Pinwheel-Version": "planted", "Set-Cookie": "a=planted"}
_ROWS = [(row.method, re.compile(re.sub(r"{\w+}", "[^/]+", row.path)), row) for row in ENDPOINTS]


async def _planted_answer(request: web.Request) -> web.Response:
    row = next(
        row for method, path, row in _ROWS if method == request.method and path.fullmatch(request.rel_url.raw_path)
    )
    if row.result is None:
        return web.Response(status=204)
    item = _planted(json.loads(encode(make(row.result), nulls=True)))
    data = [item, item] if row.shape == "page" else item
    return web.json_response({"data": data, "meta": {"next_cursor": None, "refreshed_at": "1951-07-31T00:00:00Z"}})


async def _odd_answer(_: web.Request) -> web.Response:
    return web.Response(body=b'{"data": {"planted": 47114711, "id": ["planted"]}}', headers=_ODD_HEADERS)


async def _never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def _client(site: Any) -> Pinwheel:
    return Pinwheel(SECRET, base_url=site.base_url, retry=RetryPolicy(attempts=1))


def _planted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _planted(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_planted(inner, name) for inner in value]
    if isinstance(value, str):
        if name in {"id", "account_id"}:
            return UUID
        return f"1951-07-31{value[10:]}" if re.match(r"\d{4}-\d\d-\d\d", value) else f"planted {name}"
    return 47114711 if type(value) is int else value
