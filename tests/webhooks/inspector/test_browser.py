"""The inspector in a real Chromium."""

import pytest
from playwright.async_api import expect

from pinwheel_async import RetryPolicy
from pinwheel_async.events import Event, IncomeAdded
from pinwheel_async.webhooks import Router

from .conftest import ACCOUNT, NARROW, TOKEN, WIDE


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
