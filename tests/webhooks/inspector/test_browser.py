"""The inspector in a real Chromium."""

import pytest
from aiohttp import web
from playwright.async_api import expect

from pinwheel_async import RetryPolicy
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import MemoryInbox, Readiness, Router
from tests.browser import NARROW, WIDE, watching

from .conftest import ACCOUNT, REVEAL, TOKEN


@pytest.fixture
def healed():
    return []


@pytest.fixture
def router(healed):
    """Handlers of which one fails until it is healed."""
    router = Router()

    @router.on(IncomeAdded)
    async def store_income(event: IncomeAdded) -> None:
        if not healed:
            raise LookupError("a value that is nobody's business")

    @router.on(Event)
    async def count_event(event: Event) -> None: ...

    return router


@pytest.mark.parametrize("size", [WIDE, NARROW], indirect=True, ids=["wide", "narrow"])
async def test_revive(inspect, router, healed, body, watched, size):
    """A dead delivery is found, its stack is read, it is revived and seen handled; nothing is asked of others."""
    page, name = watched.page, f"{size[0]}"
    async with inspect(router, retry=RetryPolicy(attempts=1)) as client:
        for event in ("paystubs.added", "income.added", "shifts.added"):
            await client.send(body(event, account_id=ACCOUNT))
        await page.goto(client.url)
        await watched.keep(f"login-{name}")
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("#counts")).to_contain_text("Dead1")
        await watched.keep(f"list-{name}")

        await page.get_by_role("link", name="income.added").click()
        await expect(page.get_by_role("heading", name="Why it is dead")).to_be_visible()
        await expect(page.locator(".stack")).to_contain_text("LookupError")
        await expect(page.locator(".stack")).to_contain_text("test_browser.py:")
        await watched.keep(f"dead-{name}")

        healed.append(True)
        await page.get_by_role("button", name="Revive").click()
        await expect(page.get_by_role("status").filter(has_text="Revived")).to_be_visible()
        await expect(page.locator("#delivery .badge")).to_have_text("done")
        await expect(page.locator("#counts")).to_contain_text("Dead0")
        await watched.keep(f"revived-{name}")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert "nobody's business" not in await page.content()


async def log_in(page, client, token=TOKEN):
    await page.goto(client.url)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, NARROW], indirect=True, ids=["wide", "narrow"])
async def test_live(inspect, router, body, watched, size):
    """What comes is shown and announced without a reload, unless the page is paused; the focus stays where it is."""
    page = watched.page
    await page.clock.install()
    async with inspect(router, work=False) as client:
        await client.send(body("shifts.added", event_id="event-1", account_id=ACCOUNT))
        await log_in(page, client)
        await page.get_by_role("link", name="shifts.added").focus()
        await client.send(body("paystubs.added", event_id="event-2", account_id=ACCOUNT))

        await expect(page.get_by_role("link", name="paystubs.added")).to_be_visible()
        await expect(page.get_by_role("status")).to_have_text("1 new delivery")
        await expect(page.get_by_role("link", name="shifts.added")).to_be_focused()

        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("button", name="Follow")).to_be_visible()
        await client.send(body("income.added", event_id="event-3", account_id=ACCOUNT))
        await page.clock.run_for(60_000)
        assert 0 == await page.get_by_role("link", name="income.added").count()
        await page.get_by_role("button", name="Follow").click()
        await page.clock.run_for(60_000)
        await expect(page.get_by_role("link", name="income.added")).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, NARROW], indirect=True, ids=["wide", "narrow"])
async def test_readiness(inspect, body, watched, size):
    """The view of accounts shows the products of each, as their events are handled."""
    inbox = MemoryInbox()
    readiness = Readiness(inbox)
    async with inspect(readiness.router, inbox=inbox, readiness=readiness) as client:
        await log_in(watched.page, client)
        await client.send(body("income.added", account_id=ACCOUNT))
        await client.send(body("shifts.added", account_id=ACCOUNT, outcome="error", error_code="systemError"))
        await watched.page.get_by_role("link", name="Accounts").click()
        await expect(watched.page.locator("td.products")).to_contain_text("succeeded income")
        await expect(watched.page.locator("td.products")).to_contain_text("failed shifts")
        await watched.keep(f"readiness-{size[0]}")
        assert await watched.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_login_over(inspect, router, watched):
    """A page whose login is over leads to the form, and shows nothing any more."""
    page = watched.page
    async with inspect(router, work=False) as client:
        await log_in(page, client)
        await page.context.clear_cookies()
        await expect(page.get_by_label("Token")).to_be_visible()
        assert 0 == await page.locator("#counts").count()


async def test_server_away(inspect, router, body, watched):
    """A page whose server has gone says so, and does not look as if all were well."""
    page = watched.page
    async with inspect(router, work=False) as client:
        await log_in(page, client)
    await expect(page.get_by_role("status")).to_contain_text("the server does not answer")
    assert watched.problems.pop().startswith("Failed to load resource: net::ERR_CONNECTION_REFUSED")


@pytest.mark.parametrize("size", [WIDE, NARROW], indirect=True, ids=["wide", "narrow"])
async def test_without_javascript(inspect, router, body, browser, size):
    """Without JavaScript one logs in, filters, reads, reveals, forgets after a question, sees accounts, logs out."""
    async with watching(browser, size, java_script_enabled=False) as watched, inspect(router, work=False) as client:
        page = watched.page
        await client.send(body("shifts.added", event_id="event-1", account_id=ACCOUNT))
        await client.send(body("paystubs.added", event_id="event-2", account_id=ACCOUNT, error_code="a-value"))
        await log_in(page, client, REVEAL)
        await page.get_by_text("Filters", exact=True).click()
        await page.get_by_label("Event").fill("paystubs.*")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("link", name="shifts.added")).to_have_count(0)
        await watched.keep(f"filtered-{size[0]}")

        await page.get_by_role("link", name="paystubs.added").click()
        await page.get_by_role("button", name="Reveal the values").click()
        await expect(page.get_by_role("row", name="error_code")).to_contain_text("a-value")
        await watched.keep(f"revealed-{size[0]}")
        await page.get_by_role("link", name="Mask them").click()
        await expect(page.get_by_role("row", name="error_code")).to_contain_text("text")

        await page.get_by_role("link", name="Forget").click()
        await watched.keep(f"forget-{size[0]}")
        await page.get_by_role("button", name="Forget it for good").click()
        await expect(page.get_by_role("status").filter(has_text="Forgotten")).to_be_visible()
        await expect(page.locator("#counts")).to_contain_text("Waiting1")

        await page.get_by_role("link", name="Accounts").click()
        await expect(page.get_by_role("table", name="Accounts")).to_contain_text("7f3e9a52…9c11")
        await watched.keep(f"accounts-{size[0]}")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_keyboard(inspect, router, body, watched):
    """All of it is reached by the keyboard, the content first of all, and every field and table has its name."""
    page = watched.page
    async with inspect(router, work=False) as client:
        await client.send(body("shifts.added", event_id="event-1", account_id=ACCOUNT))
        await log_in(page, client)
        reached = []
        for _ in range(8):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent"))
        assert ["To the content", "Deliveries", "Accounts", "Pause", "Log out", "Filters", "shifts.added"] == reached[
            :7
        ]

        await page.get_by_text("Filters", exact=True).press("Enter")
        for label in ("State", "Event", "Account", "Came before (UTC)"):
            await expect(page.get_by_label(label, exact=True)).to_be_visible()
        await expect(page.get_by_role("table", name="Deliveries")).to_be_visible()
        assert 5 == await page.get_by_role("columnheader").count()

        await page.get_by_role("link", name="shifts.added").press("Enter")
        await expect(page.get_by_role("region", name="shifts.added")).to_be_visible()
        await expect(page.get_by_role("table", name="Fields of the event")).to_be_visible()


async def test_frame(inspect, router, browser, serve):
    """A page of another site cannot put the inspector into a frame."""
    async with inspect(router) as client:
        site = await serve(web.Response(text=f'<iframe src="{client.url}/login"></iframe>', content_type="text/html"))
        page = await browser.new_page()
        refusals = []
        page.on("console", lambda line: refusals.append(line.text))
        await page.goto(site.base_url)
        await expect(page.frame_locator("iframe").get_by_label("Token")).to_have_count(0)

    assert any("frame-ancestors" in line or "X-Frame-Options" in line for line in refusals)


async def test_hostile(inspect, body, watched):
    """No script in an id, a name or a value runs, wherever it is shown."""
    page, script = watched.page, "<img src=x onerror=window.hit=1>'\"><script>window.hit=1</script>"
    async with inspect(work=False) as client:
        await client.send(body(script, event_id=script, account_id=script, error_code=script))
        await log_in(page, client, REVEAL)
        await page.get_by_role("link", name="<img").click()
        await expect(page.get_by_role("heading", name="<img")).to_be_visible()
        await page.get_by_role("button", name="Reveal the values").click()
        await expect(page.get_by_text("Revealed, and recorded")).to_be_visible()
        assert await page.evaluate("window.hit === undefined")
        await page.get_by_role("link", name="Accounts").click()
        await expect(page.get_by_role("table", name="Accounts")).to_be_visible()
        assert await page.evaluate("window.hit === undefined")
