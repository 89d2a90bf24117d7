"""Client: its groups, its settings, its life, and what its package exports."""

import asyncio
import inspect
import subprocess
import sys
import traceback
from base64 import b64encode

import aiohttp
import pytest
from aiohttp import web

import pinwheel_async
from pinwheel_async import ClosedError, ConfigurationError, Paged, Pinwheel, RetryPolicy, endpoints
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.settings import SECRET_VARIABLE, VERSIONS, Settings

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
    classes = {getattr(endpoints, name) for name in endpoints.__all__ if name.endswith("Endpoints")}

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

    assert Pinwheel()._caller._preparer._secret.reveal() == "from-the-environment"


@pytest.mark.parametrize(
    "wrong",
    [
        {"environment": "staging"},
        {"timeout_s": 0},
        {"base_url": "http://a.example"},
        {"api_secret": "planted\n"},
        {"base_url": "https://me:planted@a.example"},
        {"base_url": "https://a.example?planted"},
        {"proxy": "socks5://me:planted@a.example"},
        {"proxy": "http://me:planted@a.example", "timeout_s": 0},
        {"proxy": "http://me:planted@a.example", "ssl": "missing.pem"},
        {"proxy": "http://me:planted@a.example", "base_url": "planted"},
    ],
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


async def test_call(mock_site):
    """A call through a group sends the request of its row."""
    site = mock_site(web.json_response({"data": [], "meta": {"count": 0, "next_cursor": None}}))
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

    assert [arrival.target.partition("?")[2] for arrival in site.arrivals] == ["limit=10", "limit=10&cursor=a%2Fb"]


async def test_open_and_close(mock_site):
    """A client can be opened and closed by hand."""
    site = mock_site(web.Response(status=204))
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


async def test_drift_and_pause(mock_site):
    """The client shows its counts of surprises and its pause."""
    site = mock_site(
        web.Response(status=204, headers={"Pinwheel-Version": "2023-11-22"}),
        web.Response(status=429, headers={"Retry-After": "60"}),
    )
    async with Pinwheel("x", base_url=site.base_url, retry=RetryPolicy(attempts=1)) as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)
        with pytest.raises(pinwheel_async.RateLimitError):
            await pinwheel.accounts.disable_monitoring(ACCOUNT)
        paused_s = pinwheel.paused_s

    assert [1] == list(pinwheel.drift.values())
    assert 59 < paused_s <= 66
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


async def test_view_with_another_caller(serve):
    """A view calls through its own caller, and the client that it was made of through the one that it had."""
    site = await serve(web.Response(status=204))
    called: list[str] = []

    class NotingCaller:
        def __init__(self, caller):
            self.caller = caller

        def call(self, row, request):
            called.append(row.operation)
            return self.caller.call(row, request)

    async with Pinwheel("x", base_url=site.base_url) as pinwheel:
        view = pinwheel._with_caller(NotingCaller)
        await view.accounts.disable_monitoring(ACCOUNT)
        await pinwheel.accounts.disable_monitoring(ACCOUNT)
        assert view.settings is pinwheel.settings
    assert called == ["disable_monitoring"]
    assert len(site.arrivals) == 2
    assert repr(view).endswith("closed>")


def test_is_ours_in_each_loop():
    """One client may be opened in one loop after another."""
    pinwheel = Pinwheel("x")

    async def use():
        async with pinwheel:
            pass

    asyncio.run(use())
    asyncio.run(use())


async def test_one_slot_in_real_time(mock_site):
    """With the real clock, too, calls that have to wait are served one after another."""
    site = mock_site(web.Response(status=204))
    async with Pinwheel("x", base_url=site.base_url, concurrency=1) as pinwheel:
        await asyncio.gather(*[pinwheel.accounts.disable_monitoring(ACCOUNT) for _ in range(5)])

    assert len(site.arrivals) == 5


async def test_link_token_is_made_again(serve):
    """A Link token whose answer was lost is made again: a second one does no harm."""

    async def cut(request):
        request.transport.abort()
        await asyncio.Event().wait()

    token = {"id": ACCOUNT, "token": "t", "mode": "sandbox", "expires": "2026-01-01T00:00:00Z"}
    site = await serve(cut, web.Response(status=503), web.json_response({"data": token}))
    async with Pinwheel("x", base_url=site.base_url, retry=RetryPolicy(base_s=0)) as pinwheel:
        made = await pinwheel.link_tokens.create(
            org_name="Acme", solution="Verify", features=["income"], end_user_id="u"
        )

    assert made.id == ACCOUNT
    assert len(site.arrivals) == 3


async def test_gateway(serve):
    """Behind a gateway, all paths begin with that of the base URL, as do those of further pages."""
    site = await serve(
        web.json_response({"data": [], "meta": {"count": 0, "next_cursor": "a"}}),
        web.json_response({"data": [], "meta": {"count": 0, "next_cursor": None}}),
    )
    async with Pinwheel("x", base_url=f"{site.base_url}/gate%2Fway/payroll/") as pinwheel:
        await pinwheel.employers.list().all()

    assert [arrival.target for arrival in site.arrivals] == [
        "/gate%2Fway/payroll/v1/employers",
        "/gate%2Fway/payroll/v1/employers?cursor=a",
    ]


async def test_app_name(serve):
    """The name of the application stands behind that of the library."""
    site = await serve(web.Response(status=204))
    async with Pinwheel("x", base_url=site.base_url, app_name="acme-lending/1.4") as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert site.arrivals[0].headers["user-agent"] == f"pinwheel-async/{pinwheel_async.__version__} acme-lending/1.4"


@pytest.mark.parametrize("given", [True, False])
async def test_proxy(serve, monkeypatch, given):
    """Calls go through the proxy that is given or that the environment names, with user and password for it."""
    proxy = await serve(web.Response(status=204))
    url = proxy.base_url.replace("http://", "http://me:planted@")
    if not given:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
    client = Pinwheel("x", base_url="http://pinwheel.test", allow_http=True, proxy=url if given else None)
    async with client as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    arrival = proxy.arrivals[0]
    assert arrival.headers["host"] == "pinwheel.test"
    assert arrival.headers["proxy-authorization"] == f"Basic {b64encode(b'me:planted').decode()}"
    assert "planted" not in repr(client) + repr(vars(client._caller)) + repr(client.settings)


async def test_proxy_that_wants_a_login():
    """A proxy that refuses is not asked again, and the error says so without naming it."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Pinwheel("x", base_url="https://pinwheel.test", proxy=proxy) as pinwheel:
        with pytest.raises(pinwheel_async.TransportError) as raised:
            await pinwheel.accounts.get(ACCOUNT)

    assert (raised.value.reason, raised.value.attempts) == ("ClientHttpProxyError (407)", 1)
    assert not raised.value.sent


@pytest.mark.parametrize("more", [{"proxy": "http://a.example"}, {"ssl": "a.pem"}, {"client_certificate": "a.pem"}])
async def test_proxy_and_certificates_of_an_own_session(more):
    """What a session of the caller's own decides itself is refused beside it."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="must be given to the session"):
            Pinwheel("x", session=session, **more)


async def test_proxy_of_the_environment_and_an_own_session(serve, monkeypatch):
    """A session of the caller's own decides itself whether the environment counts."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://nowhere")
    async with aiohttp.ClientSession() as session:
        assert Pinwheel("x", session=session)._caller._proxy is None


async def test_block_in_a_block(mock_site):
    """A block inside another one does not close the client that both share."""
    site = mock_site(web.Response(status=204))
    async with Pinwheel("x", base_url=site.base_url) as pinwheel:
        async with pinwheel as same, pinwheel:
            await same.accounts.disable_monitoring(ACCOUNT)
        await pinwheel.accounts.disable_monitoring(ACCOUNT)
    assert repr(pinwheel).endswith("closed>")

    assert len(site.arrivals) == 2


async def test_blocks_that_overlap():
    """Of blocks of several tasks the one that ends last closes the client, whichever it is."""
    pinwheel = Pinwheel("x")
    first, second = pinwheel.cleanup_ctx(object()), pinwheel.cleanup_ctx(object())
    await anext(first)
    await anext(second)

    assert await anext(first, "ended") == "ended"
    while_one_runs = repr(pinwheel)
    assert await anext(second, "ended") == "ended"

    assert while_one_runs.endswith("open>")
    assert repr(pinwheel).endswith("closed>")


async def test_block_of_a_client_that_was_open():
    """A block does not close a client that was opened by hand before."""
    pinwheel = Pinwheel("x")
    await pinwheel.open()
    async with pinwheel:
        await pinwheel.open()
    after_the_block = repr(pinwheel)
    await pinwheel.close()

    assert after_the_block.endswith("open>")
    assert repr(pinwheel).endswith("closed>")


async def test_close_inside_of_blocks():
    """`close` closes at once, however many blocks there are, and their ends change nothing."""
    pinwheel = Pinwheel("x")
    async with pinwheel, pinwheel:
        await pinwheel.close()
        assert repr(pinwheel).endswith("closed>")
    async with pinwheel:
        assert repr(pinwheel).endswith("open>")
    assert repr(pinwheel).endswith("closed>")


async def test_block_that_fails(mock_site):
    """A block that ends with an error is counted, too."""
    pinwheel = Pinwheel("x")
    async with pinwheel:
        with pytest.raises(ValueError, match="mine"):
            async with pinwheel:
                raise ValueError("mine")
        assert repr(pinwheel).endswith("open>")
    assert repr(pinwheel).endswith("closed>")


def test_block_after_a_loop_that_is_gone():
    """A client whose loop ended inside of a block begins anew in the next loop."""
    pinwheel = Pinwheel("x")

    async def leave_open():
        pinwheel._caller._session = session = aiohttp.ClientSession()
        await pinwheel.__aenter__()
        await session.close()

    async def use():
        pinwheel._caller._session = None
        async with pinwheel:
            assert repr(pinwheel).endswith("open>")
        assert repr(pinwheel).endswith("closed>")

    asyncio.run(leave_open())
    asyncio.run(use())


def test_help_lists_the_groups():
    """The documentation of the class names every group of endpoints."""
    groups = [name for name, kind in Pinwheel.__annotations__.items() if str(kind).endswith("Endpoints")]

    assert [] == [name for name in groups if f"`{name}`" not in str(Pinwheel.__doc__)]
    assert len(groups) == 22


def test_a_version_that_is_not_known(caplog):
    """A version that may be misspelt is warned of once, and a documented one never."""
    for version in ("2024-02-30", "2024-02-30", *VERSIONS):
        Pinwheel("secret", version=version)

    assert ["2024-02-30"] == [record.args[0] for record in caplog.records]


def test_a_version_of_one_call_that_is_not_known(caplog):
    """So is one that only some calls speak."""
    Pinwheel("secret").with_options(version="2024-02-31")

    assert "2024-02-31 is not known" in caplog.text
