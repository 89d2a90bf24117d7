"""Example application on aiohttp: Link tokens, Link's events, a mounted receiver, live readiness, and pay data."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from importlib.resources import files
from json import dumps
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import attrs
from aiohttp import web

from pinwheel_async import DecodeError, NotFoundError, Pinwheel, PinwheelError, Product
from pinwheel_async.events import AccountAdded, Event
from pinwheel_async.link import LinkErrorReport, LinkEvent, LinkLogin, LinkResult, UnknownLinkEvent, parse_link_event
from pinwheel_async.models import Account, Employment, Income, Paystub
from pinwheel_async.quickstart.store import LogLine, Store
from pinwheel_async.webhooks import AccountReadiness, NotReadyError, Readiness, Router, SqliteInbox, webhook_app

LINK_SCRIPT = "https://cdn.getpinwheel.com/pinwheel-v3.0.js"
"""Pinwheel's own script; a fake has one at `/_fake/link.js`."""

WEBHOOKS = "/webhooks/pinwheel"
"""Where webhooks are received."""

_COOKIE = "quickstart_end_user"
_VISITOR = "quickstart-"
"""What the id of every visitor begins with: a cookie with the end user id of another program is worth nothing."""

_PRODUCTS: tuple[Product, ...] = ("income", "employment", "paystubs", "identity", "shifts", "tax_forms")
_SHOWN_PAYSTUBS = 3
_CHARTED_PAYSTUBS = 12
_LOOK_EVERY_S = 5.0
"""Seconds between two looks at what the API knows: without a public URL no webhook comes, and this is all there is."""

_PING_S = 15.0
"""Seconds of silence after which a stream sends a comment, so that it notices when the page was closed."""

_WATCH_S = 300.0
"""Seconds for which a stream of progress stays open; the browser opens it again."""


class Quickstart:
    """Handlers of the page's requests, and of the webhooks."""

    def __init__(self, pinwheel: Pinwheel, *, folder: Path, link_script: str) -> None:
        self.router: Router = Router()
        self.inbox: SqliteInbox = SqliteInbox(folder / "inbox.db")
        self.readiness: Readiness = Readiness(self.inbox, pinwheel=pinwheel, look_every_s=_LOOK_EVERY_S)
        self.store: Store = Store(folder / "quickstart.db")
        self._pinwheel = pinwheel
        self._link_script = link_script
        self._listeners: dict[str, set[asyncio.Queue[LogLine]]] = {}
        self.router.include(self.readiness.router)
        self.router.on(AccountAdded)(self.add_account)
        self.router.on(Event)(self.log_webhook)

    async def add_account(self, event: AccountAdded) -> None:
        """Remember whose the new account is."""
        if event.end_user_id is not None:
            await self.store.add_account(event.end_user_id, event.account_id)

    async def log_webhook(self, event: Event) -> None:
        """Tell the pages of the end user that something has come: its name and how it ended, nothing else."""
        end_user_id = getattr(event, "end_user_id", None)
        if end_user_id is not None:
            await self._log(end_user_id, "webhook", event.event, str(getattr(event, "outcome", None) or ""))

    async def index(self, request: web.Request) -> web.Response:
        """Show the page; a new visitor becomes an end user."""
        text = _page("index.html").decode().replace("{{ link_script }}", self._link_script)
        response = web.Response(text=text, content_type="text/html")
        response.headers["Content-Security-Policy"] = _policy(self._link_script)
        response.headers["Cache-Control"] = "no-store"
        if _visitor(request) is None:
            response.set_cookie(_COOKIE, f"{_VISITOR}{uuid4()}", httponly=True, samesite="Strict", max_age=86_400 * 30)
        return response

    async def link_token(self, request: web.Request) -> web.Response:
        """Make a Link token: for a new account, or for one that needs its owner to log in again."""
        end_user_id = _end_user_id(request)
        account_id = (await _json(request)).get("account_id")
        if account_id is not None:
            await self._check_owner(end_user_id, account_id)
        token = await self._pinwheel.link_tokens.create(
            org_name="Quickstart",
            solution="Verify",
            features=["paystubs", "income", "employment"],
            end_user_id=end_user_id,
            account_id=account_id,
        )
        return web.json_response({"token": token.token})

    async def link_event(self, request: web.Request) -> web.Response:
        """Take what Link told the page. Anybody can send anything here, so a login is looked up before it counts."""
        end_user_id, body = _end_user_id(request), await _json(request)
        try:
            event = parse_link_event(str(body.get("name")), body.get("payload"))
        except DecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        if isinstance(event, LinkLogin):
            await self._add_own_account(end_user_id, event.account_id)
        name = event.name if isinstance(event, UnknownLinkEvent) else event.NAME
        await self._log(end_user_id, "Link", name, _link_detail(event))
        return web.json_response({})

    async def state(self, request: web.Request) -> web.Response:
        """Return what a page that was loaded anew has to show."""
        end_user_id = _end_user_id(request)
        lines = [attrs.asdict(line) for line in await self.store.lines(end_user_id)]
        return web.json_response({"accounts": await self.store.accounts(end_user_id), "log": lines})

    async def log_stream(self, request: web.Request) -> web.StreamResponse:
        """Send what happens to the visitor from now on, as server-sent events."""
        queue: asyncio.Queue[LogLine] = asyncio.Queue()
        listeners = self._listeners.setdefault(_end_user_id(request), set())
        listeners.add(queue)
        try:
            return await _stream(request, _log_messages(queue))
        finally:
            listeners.discard(queue)

    async def progress(self, request: web.Request) -> web.StreamResponse:
        """Send the readiness of an account, now and whenever it changes, as server-sent events."""
        account_id = request.match_info["account_id"]
        await self._check_owner(_end_user_id(request), account_id)
        return await _stream(request, self._progress_messages(account_id))

    async def data(self, request: web.Request) -> web.Response:
        """Return the account's pay data, as far as it is there."""
        account_id = request.match_info["account_id"]
        await self._check_owner(_end_user_id(request), account_id)
        snapshot = await self._pinwheel.snapshot(account_id, products=("income", "employment", "paystubs"))
        paystubs = snapshot.paystubs if isinstance(snapshot.paystubs, tuple) else ()
        return web.json_response(
            {
                "account": _shown_account(snapshot.account),
                "income": snapshot.income.to_dict() if isinstance(snapshot.income, Income) else None,
                "employment": _shown_employment(snapshot.employment),
                "paystubs": [_shown_paystub(paystub) for paystub in paystubs[:_SHOWN_PAYSTUBS]],
                "net_pay": [
                    {
                        "pay_date": paystub.pay_date.isoformat(),
                        "amount": paystub.net_pay_amount,
                        "currency": paystub.currency,
                    }
                    for paystub in paystubs[:_CHARTED_PAYSTUBS][::-1]
                ],
            }
        )

    async def _progress_messages(self, account_id: str) -> AsyncGenerator[bytes, None]:
        watching = self.readiness.watch(account_id, products=_PRODUCTS, timeout_s=_WATCH_S)
        with suppress(NotReadyError):  # the browser asks again
            async with aclosing(watching) as states:
                async for state in states:
                    yield _message(_shown_state(state))

    async def _add_own_account(self, end_user_id: str, account_id: str) -> None:
        try:
            account = await self._pinwheel.accounts.get(account_id)
        except NotFoundError:
            return
        if account.end_user_id == end_user_id:
            await self.store.add_account(end_user_id, account_id)

    async def _check_owner(self, end_user_id: str, account_id: str) -> None:
        if account_id not in await self.store.accounts(end_user_id):
            raise web.HTTPNotFound

    async def _log(self, end_user_id: str, source: str, name: str, detail: str) -> None:
        line = await self.store.add_line(end_user_id, source, name, detail)
        for queue in self._listeners.get(end_user_id, ()):
            queue.put_nowait(line)


def quickstart_app(
    pinwheel: Pinwheel, *, api_secret: str, folder: Path, link_script: str = LINK_SCRIPT
) -> web.Application:
    """Make the example application.

    Args:
        pinwheel: A client; the application opens and closes it.
        api_secret: Secret that signs the webhooks.
        folder: Where its SQLite files are.
        link_script: URL of the script that opens Link.
    """
    quickstart = Quickstart(pinwheel, folder=folder, link_script=link_script)
    app = web.Application(middlewares=[_errors])
    app.cleanup_ctx.extend([pinwheel.cleanup_ctx, quickstart.store.cleanup_ctx, quickstart.readiness.cleanup_ctx])
    app.add_subapp(WEBHOOKS, webhook_app(quickstart.router, secrets=[api_secret], inbox=quickstart.inbox))
    app.add_routes(
        [
            web.get("/", quickstart.index),
            web.get("/app.js", _file("app.js", "text/javascript")),
            web.get("/style.css", _file("style.css", "text/css")),
            web.get("/state", quickstart.state),
            web.get("/log", quickstart.log_stream),
            web.post("/link-token", quickstart.link_token),
            web.post("/link-event", quickstart.link_event),
            web.get("/accounts/{account_id}/progress", quickstart.progress),
            web.get("/accounts/{account_id}/data", quickstart.data),
        ]
    )
    return app


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answer 502 where the API did not do its part; the error's text has no payroll data in it."""
    try:
        response: web.StreamResponse = await handler(request)
    except PinwheelError as error:
        raise web.HTTPBadGateway(text=str(error)) from error
    return response


def _policy(link_script: str) -> str:
    link = f"{urlsplit(link_script).scheme}://{urlsplit(link_script).netloc}"
    return (
        f"default-src 'none'; script-src 'self' {link}; style-src 'self'; connect-src 'self'; frame-src {link};"
        " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _end_user_id(request: web.Request) -> str:
    """Return who the visitor is. The cookie is SameSite=Strict, so no other site can act in their name."""
    visitor = _visitor(request)
    if visitor is None:
        raise web.HTTPForbidden(text="open the page first")
    return visitor


def _visitor(request: web.Request) -> str | None:
    found = request.cookies.get(_COOKIE, "")
    return found if found.startswith(_VISITOR) else None


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body: Any = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return cast("dict[str, Any]", body)


def _page(name: str) -> bytes:
    return (files("pinwheel_async.quickstart") / "page" / name).read_bytes()


def _file(name: str, content_type: str) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=_page(name), content_type=content_type, charset="utf-8")

    return answer


async def _stream(request: web.Request, messages: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Answer with server-sent events until there are no more, or the page was closed."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with suppress(ConnectionError):
        async with aclosing(messages):
            async for message in messages:
                await response.write(message)
    return response


def _message(found: Any) -> bytes:
    return f"data: {dumps(found)}\n\n".encode()


async def _log_messages(queue: asyncio.Queue[LogLine]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            yield _message(attrs.asdict(await asyncio.wait_for(queue.get(), _PING_S)))
        except TimeoutError:
            yield b": ping\n\n"


def _link_detail(event: LinkEvent) -> str:
    """Return the class that the event was read as, and what decides how the page goes on."""
    if isinstance(event, LinkErrorReport):
        return f"{type(event).__name__}: {event.type}/{event.code}, pending_retry={event.pending_retry}"
    return f"{type(event).__name__}: {event.job}" if isinstance(event, LinkResult) else type(event).__name__


def _shown_state(state: AccountReadiness) -> Any:
    products = {
        name: {"status": state.products[name].status, "progress": state.products[name].progress}
        for name in state.wanted
    }
    return {"ready": state.ready(), "progress": state.progress, "products": products}


def _shown_account(account: Account | PinwheelError) -> Any:
    if not isinstance(account, Account):
        return None
    return {"connected": account.connected, "monitoring_status": account.monitoring_status}


def _shown_employment(employment: Employment | PinwheelError | None) -> Any:
    if not isinstance(employment, Employment):
        return None
    shown = employment.to_dict()
    return {name: shown[name] for name in ("employer_name", "title", "status", "start_date")}


def _shown_paystub(paystub: Paystub) -> Any:
    shown = paystub.to_dict()
    names = ("pay_date", "currency", "gross_pay_amount", "net_pay_amount", "total_taxes", "total_deductions")
    lines = {
        part: [{"name": line["name"], "amount": line["amount"]} for line in shown[part]]
        for part in ("taxes", "deductions")
    }
    return {name: shown[name] for name in names} | lines
