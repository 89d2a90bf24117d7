"""The client as people use it."""

import asyncio
import inspect
import subprocess
import sys
import traceback

import aiohttp
import pytest
from aiohttp import web

import pinwheel_async
from pinwheel_async import ClosedError, ConfigurationError, Paged, Pinwheel, RetryPolicy, endpoints
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.settings import SECRET_VARIABLE, Settings

ACCOUNT = "7c2d5a3e-5ac5-4f0c-9d4a-5f1f1d3c0a11"


@pytest.fixture
def pinwheel():
    return Pinwheel("planted-secret", environment="development")


def test_every_group_is_set(pinwheel):
    """Every attribute that the class promises is a group of endpoints, and there is no other."""
    promised = {name for name in Pinwheel.__annotations__ if not name.startswith("_")}

    assert promised == {name for name, value in vars(pinwheel).items() if isinstance(value, Endpoints)}


def test_every_group_is_what_its_annotation_says(pinwheel):
    """The class of each attribute is the one that type checkers see."""
    for name, annotation in Pinwheel.__annotations__.items():
        assert type(getattr(pinwheel, name)).__name__ == annotation


def test_every_class_of_endpoints_has_an_attribute(pinwheel):
    """No group of endpoints is left out."""
    classes = {one for name in endpoints.__all__ if name.endswith("Endpoints") for one in [getattr(endpoints, name)]}

    assert classes == {type(getattr(pinwheel, name)) for name in Pinwheel.__annotations__}


def test_repr(pinwheel):
    """The repr says where and which version, and not the secret."""
    assert repr(pinwheel) == "<Pinwheel https://development.getpinwheel.com 2025-07-08 closed>"


async def test_repr_when_open():
    """The repr says whether the client is open."""
    async with Pinwheel("x") as pinwheel:
        assert repr(pinwheel).endswith("open>")
    assert repr(pinwheel).endswith("closed>")


def test_base_url_goes_before_environment():
    """A base URL replaces the environment's."""
    assert Pinwheel("x", base_url="https://a.example").settings.base_url == "https://a.example"


def test_settings(pinwheel):
    """What is not given has the defaults of `Settings`."""
    assert pinwheel.settings == Settings(base_url="https://development.getpinwheel.com")


def test_settings_are_passed_on():
    """What is given is used."""
    policy = RetryPolicy(attempts=1)
    settings = Pinwheel(
        "x",
        version="2023-11-22",
        timeout_s=1,
        attempt_timeout_s=2,
        concurrency=3,
        requests_per_s=4,
        retry=policy,
    ).settings

    assert (settings.version, settings.timeout_s, settings.attempt_timeout_s) == ("2023-11-22", 1, 2)
    assert (settings.concurrency, settings.requests_per_s, settings.retry) == (3, 4, policy)


def test_secret_of_the_environment(monkeypatch):
    """Without a secret, the one of the environment is used."""
    monkeypatch.setenv(SECRET_VARIABLE, "from-the-environment")

    assert Pinwheel()._caller._hops._secret.value == "from-the-environment"


@pytest.mark.parametrize(
    "wrong",
    [{"environment": "staging"}, {"timeout_s": 0}, {"base_url": "http://a.example"}, {"api_secret": "planted\n"}],
)
def test_wrong_settings_do_not_show_the_secret(wrong):
    """A client that cannot work says why, and no traceback of it, even with locals, shows the secret."""
    with pytest.raises(ConfigurationError) as raised:
        Pinwheel(**{"api_secret": "planted-secret", **wrong})

    inside = raised.value.__traceback__.tb_next
    shown = traceback.TracebackException(type(raised.value), raised.value, inside, capture_locals=True)
    assert "planted" not in "".join(shown.format())


async def test_closed_client(pinwheel):
    """A call on a client that was not opened says how to open it."""
    with pytest.raises(ClosedError, match="async with"):
        await pinwheel.accounts.get(ACCOUNT)


async def test_call(serve):
    """A call through a group sends the request of its row."""
    site = await serve(web.json_response({"data": [], "meta": {"count": 0, "next_cursor": None}}))
    async with Pinwheel("x", base_url=site.base_url) as pinwheel:
        page = await pinwheel.paystubs.list(ACCOUNT)

    assert len(page) == 0
    assert site.arrivals[0].target == f"/v1/accounts/{ACCOUNT}/paystubs"


async def test_all_pages(serve):
    """A list reads page after page, each once."""
    site = await serve(
        web.json_response({"data": [], "meta": {"count": 0, "next_cursor": "a/b"}}),
        web.json_response({"data": [], "meta": {"count": 0, "next_cursor": None}}),
    )
    async with Pinwheel("x", base_url=site.base_url) as pinwheel:
        listed = pinwheel.paystubs.list(ACCOUNT, limit=10)
        assert isinstance(listed, Paged)
        assert await listed.all() == ()

    assert [one.target.partition("?")[2] for one in site.arrivals] == ["limit=10", "limit=10&cursor=a%2Fb"]


async def test_open_and_close(serve):
    """A client can be opened and closed by hand."""
    site = await serve(web.Response(status=204))
    pinwheel = Pinwheel("x", base_url=site.base_url)
    await pinwheel.open()
    await pinwheel.accounts.disable_monitoring(ACCOUNT)
    await pinwheel.close()

    assert len(site.arrivals) == 1


async def test_cleanup_ctx():
    """As a cleanup context the client is open while the application runs."""
    pinwheel = Pinwheel("x")
    app = web.Application()
    app.cleanup_ctx.append(pinwheel.cleanup_ctx)
    runner = web.AppRunner(app)
    await runner.setup()
    while_running = repr(pinwheel)
    await runner.cleanup()

    assert while_running.endswith("open>")
    assert repr(pinwheel).endswith("closed>")


async def test_session_of_ones_own(serve):
    """A given session carries the calls."""
    site = await serve(web.Response(status=204))
    async with (
        aiohttp.ClientSession(headers={"X-Mine": "1"}) as session,
        Pinwheel("x", base_url=site.base_url, session=session) as pinwheel,
    ):
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert site.arrivals[0].headers["x-mine"] == "1"


async def test_drift_and_pause(serve):
    """The client shows its counts of surprises and its pause."""
    site = await serve(
        web.Response(status=204, headers={"Pinwheel-Version": "2023-11-22"}),
        web.Response(status=429, headers={"Retry-After": "60"}),
    )
    async with Pinwheel("x", base_url=site.base_url, retry=RetryPolicy(attempts=1)) as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)
        with pytest.raises(pinwheel_async.RateLimitError):
            await pinwheel.accounts.disable_monitoring(ACCOUNT)
        paused_s = pinwheel.paused_s

    assert [1] == list(pinwheel.drift.values())
    assert 59 < paused_s <= 60
    assert pinwheel.paused_s == 0


def test_public_names():
    """All that is announced is there, sorted; and nothing public is left unannounced."""
    public = {
        name
        for name, value in vars(pinwheel_async).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "TYPE_CHECKING"
    }

    assert pinwheel_async.__all__ == sorted(pinwheel_async.__all__, key=_ruff_order)
    assert all(hasattr(pinwheel_async, name) for name in pinwheel_async.__all__)
    assert public | {"Snapshot"} == set(pinwheel_async.__all__)


def _ruff_order(name):
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_version():
    """The version is the one of the metadata, or says that there is none."""
    assert pinwheel_async.__version__


def test_unknown_name():
    """A misspelt name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="Pinwheeel"):
        pinwheel_async.Pinwheeel  # noqa: B018  # asked for the error


def test_import_is_light():
    """Importing the package brings neither models nor the server side of aiohttp nor cattrs."""
    code = (
        "import sys, pinwheel_async;"
        "print([name for name in sys.modules if name.startswith(('pinwheel_async.models.', 'aiohttp.web', 'cattrs'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_is_ours_in_each_loop():
    """One client may be opened in one loop after another."""
    pinwheel = Pinwheel("x")

    async def use():
        async with pinwheel:
            pass

    asyncio.run(use())
    asyncio.run(use())


async def test_one_slot_in_real_time(serve):
    """With the real clock, too, calls that have to wait are served one after another."""
    site = await serve(web.Response(status=204))
    async with Pinwheel("x", base_url=site.base_url, concurrency=1) as pinwheel:
        await asyncio.gather(*[pinwheel.accounts.disable_monitoring(ACCOUNT) for _ in range(5)])

    assert len(site.arrivals) == 5
