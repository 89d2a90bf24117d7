"""aiohttp application of the inspector: requests, permissions, actions, and the audit log."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web
from attrs import evolve

from pinwheel_async._clock import time_limit
from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks._inbox.base import DeliveryFilter, Entry, Inbox
from pinwheel_async.webhooks._inspector import pages
from pinwheel_async.webhooks._inspector.auth import SESSION_S, Guard, Visitor, is_same_origin
from pinwheel_async.webhooks._inspector.delivery import Shown
from pinwheel_async.webhooks._inspector.fields import revealed_fields
from pinwheel_async.webhooks._inspector.html import Html
from pinwheel_async.webhooks._inspector.throttle import LoginThrottle
from pinwheel_async.webhooks._inspector.view import PAGE_ROWS, View
from pinwheel_async.webhooks._readiness.readiness import Readiness
from pinwheel_async.webhooks._readiness.state import AccountReadiness

_AUDIT = logging.getLogger("pinwheel_async.audit")

MAX_FORM_BYTES = 16 * 1024
FORM_S = 10.0
"""Seconds in which a form must be there."""

ACCOUNT_ENTRIES = 1000
"""Deliveries from which the page of the accounts is made."""

READY_ACCOUNTS = 100
"""Accounts of which the readiness is read for a page that browsers ask for every three seconds: two values each."""

HEADERS = {
    # A form of a page that was put into a frame of another site would be filled in by its visitors.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not "no-referrer", with which browsers would not say any more which site a form is from.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""

_ASSETS = {"style.css": "text/css", "inspector.js": "text/javascript"}

_FOLLOWING = re.compile(r"(accounts|forget)?(\?[!-~]*)?")
"""Where one may be sent after a login: a page of the inspector, and nowhere else."""

_VISITOR: "web.RequestKey[Visitor]" = web.RequestKey("visitor", Visitor)

_OPEN = frozenset({"login", *_ASSETS})
"""What is answered without a login."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def inspector_app(inbox: Inbox, guard: Guard, readiness: Readiness | None = None) -> web.Application:
    """Make the application.

    Args:
        inbox: What is shown; others open and close it.
        guard: Tells who may see it.
        readiness: Tells of the accounts which of their products are there.
    """
    handlers = _RequestHandlers(inbox, guard, readiness)
    app = web.Application(middlewares=[_protect, handlers.admit])
    app.router.add_get("", _to_slash)
    app.router.add_get("/", handlers.deliveries)
    app.router.add_get("/accounts", handlers.accounts)
    app.router.add_get("/forget", handlers.confirm)
    app.router.add_get("/login", handlers.login)
    app.router.add_post("/login", handlers.log_in)
    app.router.add_post("/logout", handlers.log_out)
    app.router.add_post("/revive", handlers.revive)
    app.router.add_post("/replay", handlers.replay)
    app.router.add_post("/forget", handlers.forget)
    app.router.add_post("/reveal", handlers.reveal)
    for name, kind in _ASSETS.items():
        app.router.add_get(f"/{name}", _asset(name, kind))
    return app


class _RequestHandlers:
    """Handlers of the requests."""

    def __init__(self, inbox: Inbox, guard: Guard, readiness: Readiness | None) -> None:
        self._inbox = inbox
        self._readiness = readiness
        self._throttle = LoginThrottle()
        self._all: Any = inbox  # what an inbox may have beside the protocol: `replay` and `read_body`
        self._guard = guard

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may see the inspector; of what changes something, also see that their own page sent it."""
        place = request.path.rpartition("/")[2]
        if request.method == "POST" and not is_same_origin(request):
            return _page(pages.problem_page("Refused", "Another site sent this form."), status=403)
        if place in _OPEN or request.match_info.handler is _to_slash:
            return await handler(request)
        has_token = self._guard.has_login and request.headers.get("Authorization", "").lower().startswith("bearer ")
        if has_token and (wait_s := self._throttle.wait_s(request.remote)):
            return _too_many(wait_s)
        visitor = await self._guard.visitor(request)
        if visitor is None:
            if has_token:
                self._note_wrong(request)
            return self._refuse(request, place)
        if request.method == "POST" and visitor.csrf_token and not await _has_token(request, visitor):
            text = "This form is not one of your login: open the page again, and repeat what you did."
            return _page(pages.problem_page("Refused", text), status=403)
        request[_VISITOR] = visitor
        response = await handler(request)
        if visitor.new_cookie is not None:
            _set_cookie(request, response, self._guard.cookie, visitor.new_cookie)
        return response

    async def login(self, request: web.Request) -> web.Response:
        """Show the form to log in; or log in by the one-time token of a URL."""
        ticket, following = request.query.get("ticket"), _following(request.query)
        if ticket is None:
            return _page(pages.login_page(by_token=self._guard.has_login, following=following))
        session = self._guard.use_ticket(ticket)
        if session is None:  # no throttle: a ticket has 256 bits, and holds once
            text = "This link was used before, or is not of this run: start the command again for another one."
            return _page(pages.problem_page("Not logged in", text), status=403)
        return self._begin_session(request, session, following)

    async def log_in(self, request: web.Request) -> web.Response:
        """Log in by the token of a form."""
        if wait_s := self._throttle.wait_s(request.remote):
            return _too_many(wait_s)
        form = await _form(request)
        session = self._guard.log_in(form.get("token", "")) if self._guard.has_login else None
        following = _following(form)
        if session is None:
            self._note_wrong(request)
            page = pages.login_page(by_token=self._guard.has_login, problem="Wrong token.", following=following)
            return _page(page, status=403)
        return self._begin_session(request, session, following)

    async def log_out(self, request: web.Request) -> web.Response:
        """Take the cookie back."""
        response = _redirect("login")
        _set_cookie(request, response, self._guard.cookie, "", max_age=0)
        return response

    async def deliveries(self, request: web.Request) -> web.Response:
        """List deliveries, and show one."""
        return _page(pages.deliveries_page(await self._listing(View.of(request.query)), request[_VISITOR]))

    async def accounts(self, request: web.Request) -> web.Response:
        """Show the accounts, each with its events in order."""
        counts = await self._inbox.counts()
        entries = await self._inbox.entries(limit=ACCOUNT_ENTRIES + 1)
        more = len(entries) > ACCOUNT_ENTRIES
        shown = entries[:ACCOUNT_ENTRIES]
        page = pages.accounts_page(counts, shown, request[_VISITOR], more=more, readiness=await self._ready(shown))
        return _page(page)

    async def _ready(self, entries: Sequence[Entry]) -> Mapping[str, AccountReadiness] | None:
        """Return the readiness of the newest accounts, as far as it was heard: nobody is asked."""
        if self._readiness is None:
            return None
        accounts = list(dict.fromkeys([entry.ordering_key for entry in entries]))[:READY_ACCOUNTS]
        return {account: await self._readiness.get(account, look=False) for account in accounts}

    async def confirm(self, request: web.Request) -> web.Response:
        """Ask whether a delivery is to be forgotten."""
        view = View.of(request.query)
        entry = await self._entry(view.id)
        return _page(pages.forget_page(view, entry, request[_VISITOR]))

    async def revive(self, request: web.Request) -> web.Response:
        """Let a dead delivery wait again."""
        view = View.of(request.query)
        changed = await self._inbox.revive(DeliveryFilter(states="dead", event_ids=(view.id,)))
        if changed:
            _AUDIT.info("event %s was revived in the inspector by %s", view.id, _who(request))
        return _redirect(view.href(said="revive" if changed else "nothing"))

    async def replay(self, request: web.Request) -> web.Response:
        """Let a delivery be handled again that was done, and has its body."""
        view = View.of(request.query)
        changed: int = 0
        if hasattr(self._all, "replay"):
            changed = await self._all.replay(DeliveryFilter(states="done", event_ids=(view.id,)))
        if changed:
            _AUDIT.info("event %s was replayed in the inspector by %s", view.id, _who(request))
        return _redirect(view.href(said="replay" if changed else "nothing"))

    async def forget(self, request: web.Request) -> web.Response:
        """Forget a delivery."""
        view = View.of(request.query)
        changed = await self._inbox.purge(DeliveryFilter(event_ids=(view.id,)))
        if changed:
            _AUDIT.info("event %s was forgotten in the inspector by %s", view.id, _who(request))
        return _redirect(view.href(id="", said="forget" if changed else "nothing"))

    async def reveal(self, request: web.Request) -> web.Response:
        """Show the values of a delivery, once: the page is the answer to the form, and to no URL."""
        visitor, view = request[_VISITOR], View.of(request.query)
        if not visitor.may_reveal:
            return _page(pages.problem_page("Refused", "You may not see the values of payloads."), status=403)
        listing = await self._listing(view)
        shown = listing.shown
        body: bytes | None = None
        if shown is not None and shown.can_reveal:
            # Before it is read: what is revealed and not logged would be worse than the opposite.
            _AUDIT.info("the values of event %s are revealed in the inspector to %s", view.id, _who(request))
            body = await self._all.read_body(view.id)
        if shown is None or body is None:
            return _page(pages.problem_page("No body", "The body of this delivery is not stored any more."), status=404)
        revealed = evolve(listing, shown=evolve(shown, revealed=revealed_fields(body, shown.entry.version)))
        return _page(pages.deliveries_page(revealed, visitor))

    async def _listing(self, view: View) -> pages.Listing:
        counts = await self._inbox.counts()
        shown = await self._shown(view.id) if view.id else None
        try:
            chosen = view.filter()
        except ConfigurationError as error:
            return pages.Listing(view=view, counts=counts, shown=shown, problem=str(error))
        entries = await self._inbox.entries(chosen, limit=view.page * PAGE_ROWS + 1)
        rows = entries[(view.page - 1) * PAGE_ROWS : view.page * PAGE_ROWS]
        more = len(entries) > view.page * PAGE_ROWS
        return pages.Listing(view=view, counts=counts, entries=rows, more=more, shown=shown)

    async def _shown(self, event_id: str) -> Shown | None:
        entries = await self._inbox.entries(DeliveryFilter(event_ids=(event_id,)), limit=1)
        if not entries:
            return None
        # What is not done has its body.
        has_body = entries[0].state != "done" or bool(
            await self._inbox.entries(DeliveryFilter(event_ids=(event_id,), with_body=True), limit=1)
        )
        progress = await self._all.progress(event_id) if hasattr(self._all, "progress") else None
        can_replay = has_body and entries[0].state == "done" and hasattr(self._all, "replay")
        return Shown(
            entry=entries[0],
            progress=progress,
            can_replay=can_replay,
            can_reveal=has_body and hasattr(self._all, "read_body"),
        )

    async def _entry(self, event_id: str) -> Entry:
        entries = await self._inbox.entries(DeliveryFilter(event_ids=(event_id,)), limit=1)
        if not entries:
            raise web.HTTPNotFound(text="This delivery is not stored.")
        return entries[0]

    def _note_wrong(self, request: web.Request) -> None:
        self._throttle.note_wrong(request.remote)
        wait_s = self._throttle.wait_s(request.remote)
        more = f"; it was the last of many, so this address has to wait for {wait_s} s" if wait_s else ""
        _AUDIT.warning("a login to the inspector was refused: from %s%s", request.remote, more)

    def _refuse(self, request: web.Request, place: str) -> web.Response:
        """Send a browser to the form; tell a program that it needs a token."""
        if not self._guard.has_login:
            return _page(pages.login_page(by_token=False), status=403)
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            query = request.rel_url.raw_query_string
            following = f"{place}?{query}" if query else place
            return _redirect(f"login?{urlencode({'following': following})}" if following else "login")
        page = pages.problem_page("Not logged in", "Send the token of the inspector, or log in.")
        return _page(page, status=401, headers={"WWW-Authenticate": "Bearer"})

    def _begin_session(self, request: web.Request, session: str, following: str) -> web.Response:
        _AUDIT.info("%s of the inspector began: from %s", self._guard.name_of(session), request.remote)
        response = _redirect(f"./{following}")
        _set_cookie(request, response, self._guard.cookie, session)
        return response


@web.middleware
async def _protect(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add the headers that every answer has, whatever goes wrong."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    except InboxError as error:
        response = _page(pages.problem_page("The inbox does not answer", str(error)), status=503)
    response.headers.update(HEADERS)
    return response


async def _to_slash(request: web.Request) -> web.Response:
    """Send to the same with a slash at the end, from which relative links are right."""
    return _redirect(f"{request.path.rpartition('/')[2]}/")


def _asset(name: str, kind: str) -> Handler:
    content = (files("pinwheel_async.webhooks._inspector") / "assets" / name).read_bytes()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return answer


def _page(page: Html, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(text=page, status=status, content_type="text/html", charset="utf-8", headers=headers)


def _too_many(wait_s: int) -> web.Response:
    page = pages.problem_page("Too many wrong tokens", f"Try again in {wait_s} seconds.")
    return _page(page, status=429, headers={"Retry-After": str(wait_s)})


def _redirect(place: str) -> web.Response:
    # Relative, as whoever stands in front may have another path for what is here.
    return web.Response(status=303, headers={"Location": place})


def _set_cookie(
    request: web.Request, response: web.StreamResponse, name: str, value: str, *, max_age: int = SESSION_S
) -> None:
    is_secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    # Without a path, so that it is that of the inspector, whatever it is called outside.
    response.set_cookie(name, value, path="", max_age=max_age, httponly=True, samesite="Strict", secure=is_secure)


async def _form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form; none if it is too long, too slow or something else."""
    length = request.content_length
    if request.content_type != "application/x-www-form-urlencoded" or length is None or length > MAX_FORM_BYTES:
        return {}
    try:
        async with time_limit(FORM_S):
            return dict(parse_qsl((await request.read()).decode(), max_num_fields=10, keep_blank_values=True))
    except (TimeoutError, ValueError):
        return {}


async def _has_token(request: web.Request, visitor: Visitor) -> bool:
    return visitor.is_own_form((await _form(request)).get("csrf", ""))


def _following(given: Mapping[str, str]) -> str:
    following = given.get("following", "")
    return following if _FOLLOWING.fullmatch(following) else ""


def _who(request: web.Request) -> str:
    return f"{request[_VISITOR].name} from {request.remote}"
