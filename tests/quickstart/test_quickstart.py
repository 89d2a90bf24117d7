"""The quickstart in a real browser, from the Connect button to paystubs; and its requests without one."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect

from pinwheel_async import Pinwheel
from pinwheel_async.cli._quickstart import _made_up
from pinwheel_async.cli._server import serving
from pinwheel_async.quickstart import quickstart_app
from pinwheel_async.quickstart.app import WEBHOOKS
from pinwheel_async.testing import FakePinwheel, ReceiverHarness
from pinwheel_async.webhooks import Router
from tests.browser import NARROW, WIDE, Watched, chromium, watching

SPEED = 20.0
"""A minute of a scenario takes three seconds."""


class Visit(Watched):
    """A page of the quickstart."""

    async def connect(self, scenario: str, *, button: str = "Connect") -> Any:
        """Open Link, choose an employer, and log in by a scenario; return the frame of Link."""
        await self.page.get_by_role("button", name=button, exact=True).click()
        link = self.page.frame_locator("iframe[title='Pinwheel Link']")
        if button == "Connect":
            await link.get_by_label("Employer", exact=True).fill("fictional")
            await link.get_by_role("button", name="Fictional Foods").first.click()
        await link.get_by_label("What happens then").select_option(scenario)
        await link.get_by_role("button", name="Log in").click()
        return link

    def status(self, product: str) -> Any:
        """Where the status of a product stands."""
        return self.page.locator(f"[data-product={product}]")


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """A Chromium of the system."""
    async with chromium() as started:
        yield started


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """The running application, as the command runs it."""
    async with _made_up(tmp_path, 0, SPEED) as started:
        yield started


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Width and height of the window."""
    return getattr(request, "param", WIDE)


@pytest.fixture
async def watched(browser: Any, url: str, size: tuple[int, int]) -> AsyncIterator[Visit]:
    """The page, just opened; in the end nothing may have been complained of, or asked of another machine."""
    async with watching(browser, size, make=Visit) as made:
        await made.page.goto(url)
        yield made
        assert await made.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("size", [WIDE, NARROW], indirect=True, ids=["wide", "narrow"])
async def test_happy(watched, size):
    """From Connect to paystubs with taxes and deductions, income, employment and a chart; a reload shows the same."""
    page = watched.page
    await watched.keep(f"empty-{size[0]}")
    link = await watched.connect("happy")
    await expect(link.get_by_text("You are connected.")).to_be_visible()
    await watched.keep(f"link-{size[0]}")
    await link.get_by_role("button", name="Done").click()
    for product in ("income", "employment", "paystubs"):
        await expect(watched.status(product)).to_have_text("succeeded")
    await expect(page.get_by_role("heading", name=re.compile("^Paystub of "))).to_have_count(3)
    await expect(page.get_by_role("img", name=re.compile("^Net pay of the last 12 paystubs"))).to_be_visible()
    await expect(page.locator(".employment dd").first).to_have_text("Fictional Foods")
    await watched.keep(f"happy-{size[0]}")
    for text in ("paystubs.fully_synced", "LinkExit"):  # what the API says may be shown before the webhook has come
        await expect(page.locator("#log")).to_contain_text(text)
    cards, lines = await page.locator(".account .cards").all_inner_texts(), await page.locator("#log").inner_text()
    await page.reload()
    for product in ("income", "employment", "paystubs"):
        await expect(watched.status(product)).to_have_text("succeeded")
    await expect(page.get_by_role("heading", name=re.compile("^Paystub of "))).to_have_count(3)
    await expect(page.locator("#log")).to_contain_text("LinkOpen")

    assert cards == await page.locator(".account .cards").all_inner_texts()
    assert {*lines.split("\n")} <= {*(await page.locator("#log").inner_text()).split("\n")}
    assert "LinkLogin" in lines
    assert "LinkResult: login" in lines
    assert "paystubs.fully_synced" in lines
    assert await page.get_by_text("Federal Income").count() == 3


@pytest.mark.parametrize("size", [NARROW], indirect=True, ids=["narrow"])
async def test_wrong_password(watched):
    """Link says that the password is wrong, the page is told so, typed, and there is no account."""
    link = await watched.connect("wrong_password")
    await expect(link.get_by_role("alert")).to_have_text("Name or password is wrong.")
    await watched.keep("wrong-password-390")
    await expect(watched.page.get_by_text("LinkErrorReport: invalidUserInput/invalidCredentials")).to_be_attached()
    await watched.page.keyboard.press("Escape")
    await expect(watched.page.locator("dialog")).to_have_count(0)

    assert 0 == await watched.page.locator(".account").count()


async def test_pending(watched):
    """Income is pending first, and then there."""
    link = await watched.connect("pending_then_success")
    await expect(watched.status("income")).to_have_text("pending")
    await watched.keep("pending-1280")
    await link.get_by_role("button", name="Done").click()
    await expect(watched.status("income")).to_have_text("succeeded")
    await expect(watched.status("paystubs")).to_have_text("succeeded")
    await expect(watched.page.get_by_role("heading", name=re.compile("^Paystub of "))).to_have_count(3)


async def test_stalled(watched):
    """What is there is shown while paystubs stay away."""
    link = await watched.connect("stalled")
    await link.get_by_role("button", name="Done").click()
    await expect(watched.status("tax_forms")).to_have_text("succeeded")
    await expect(watched.status("income")).to_have_text("succeeded")
    await expect(watched.status("paystubs")).to_have_text("waiting")
    await expect(watched.page.locator(".card.income .amount")).to_be_visible()
    await watched.keep("stalled-1280")

    assert 0 == await watched.page.locator(".paystub").count()


async def test_reauthentication(watched):
    """The account asks for a login, and is content after one; it stays the same account, and the keyboard will do."""
    link = await watched.connect("reauthentication_needed")
    await link.get_by_role("button", name="Done").click()
    again = watched.page.get_by_role("button", name="Log in again")
    await expect(again).to_be_visible()
    await watched.keep("reauthentication-1280")
    await again.focus()
    await watched.page.keyboard.press("Enter")
    link = watched.page.frame_locator("iframe[title='Pinwheel Link']")
    await link.get_by_label("What happens then").select_option("happy")
    await link.get_by_label("Password").press("Enter")
    await link.get_by_role("button", name="Done").press("Enter")
    await expect(again).to_be_hidden()
    await expect(watched.status("paystubs")).to_have_text("succeeded")

    assert 1 == await watched.page.locator(".account").count()


async def test_control_page(browser):
    """The page of the fake connects a person, turns the clock, shows deliveries and sends one again."""
    hooked = FakePinwheel(accounts=1)
    async with hooked, ReceiverHarness(Router(), fake=hooked) as receiver, watching(browser, NARROW) as made:
        page = made.page
        await page.goto(f"{hooked.base_url}/_fake/")
        await page.get_by_label("Scenario").select_option("monitoring_refresh")
        await page.get_by_role("button", name="Connect").click()
        await expect(page.get_by_role("status")).to_contain_text("monitoring_refresh")
        await expect(page.get_by_role("cell", name="account.added", exact=True)).to_have_count(1)
        await page.get_by_role("button", name="Advance").click()
        await expect(page.get_by_role("cell", name="paystubs.fully_synced", exact=True)).to_have_count(1)
        await page.get_by_role("button", name="Redeliver account.added").first.click()
        await expect(page.get_by_role("cell", name="account.added", exact=True)).to_have_count(2)
        await made.keep("control-390")
        await receiver.idle()

        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_end_user_of_another_program(tmp_path):
    """A cookie with the end user id of another program of the workspace is worth nothing, and is replaced."""
    async with FakePinwheel(accounts=1) as fake:
        client = Pinwheel(fake.api_secret, base_url=fake.base_url)
        app = quickstart_app(client, api_secret=fake.api_secret, folder=tmp_path)
        async with serving(app) as url:
            fake.subscribe(f"{url}{WEBHOOKS}")
            await fake.connect(end_user_id="user_42")
            cookies = {"quickstart_end_user": "user_42"}
            async with aiohttp.ClientSession(
                url, cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)
            ) as session:
                statuses = [(await session.get(path)).status for path in ("/state", "/log")]
                made = (await session.get("/")).cookies["quickstart_end_user"].value

    assert [403, 403] == statuses
    assert made.startswith("quickstart-")


async def test_requests(url):
    """Another visitor sees nothing of an account, and nonsense is refused."""
    async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post("/link-token", json={}) as response:
            without_cookie = response.status
        async with session.get("/") as response:
            policy, cookie = response.headers["Content-Security-Policy"], response.headers["Set-Cookie"]
        async with session.get("/accounts/11111111-1111-4111-8111-111111111111/data") as response:
            of_others = response.status
        async with session.post("/link-token", json={"account_id": "11111111-1111-4111-8111-111111111111"}) as response:
            token_of_others = response.status
        async with session.post("/link-event", data="nonsense") as response:
            nonsense = response.status
        async with session.post("/link-event", json={"name": "login", "payload": {"accountId": 1}}) as response:
            misshapen = response.status
        login = {"accountId": "11111111-1111-4111-8111-111111111111", "platformId": "p"}
        async with session.post("/link-event", json={"name": "login", "payload": login}) as response:
            made_up = response.status
        async with session.get("/state") as response:
            state = await response.json()

    assert (403, 404, 404, 400, 400, 200) == (
        *(without_cookie, of_others, token_of_others),
        *(nonsense, misshapen, made_up),
    )
    assert [] == state["accounts"]
    assert policy.startswith("default-src 'none'; script-src 'self' http://127.0.0.1:")
    assert "unsafe" not in policy
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
