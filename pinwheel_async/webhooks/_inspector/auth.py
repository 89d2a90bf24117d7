"""Login of the inspector: who may look, who may reveal values, and whose form a POST is.

Sessions are signed and not stored, so that any process with the same token takes them, also after a restart. Another
token ends them all.
"""

import asyncio
import hmac
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from aiohttp import web
from attrs import frozen

from pinwheel_async._core.arguments import wrong
from pinwheel_async._privacy import Discreet, Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._ctrl_c import is_ctrl_c

_log = logging.getLogger("pinwheel_async.webhooks")

SESSION_S = 12 * 3600
"""Seconds for which a login holds."""

MIN_TOKEN = 16
"""Characters that a token has at least."""

Level: TypeAlias = Literal["view", "reveal"]
"""What a login lets see."""

AuthAnswer: TypeAlias = bool | Literal["reveal"]
"""Whether a request may see the inspector; `"reveal"` if it may see the values of payloads, too."""

AuthFunction: TypeAlias = Callable[[web.Request], Awaitable[AuthAnswer]]
"""Tells of a request what it may see, by whatever login the application has."""


@frozen(kw_only=True, repr=False)
class Visitor(Discreet):
    """Somebody who may see the inspector."""

    name: str
    """What the audit log calls them."""
    may_reveal: bool
    has_session: bool = False
    """Whether they can log out here."""
    csrf_token: str = ""
    """What their forms must hold; empty where no form is needed, because no browser adds their token by itself."""
    new_cookie: str | None = None
    """Cookie that their forms are bound to, where they have none yet."""

    def is_own_form(self, token: str) -> bool:
        """Whether a form that holds this is one of theirs."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.csrf_token.encode())


class Guard(Unpicklable, Discreet):
    """Tells who somebody is."""

    def __init__(self, auth: object, reveal: object, *, ticket: str | None = None) -> None:
        """Make ready.

        Args:
            auth: A token, or a function that tells what a request may see.
            reveal: A token that reveals values, too.
            ticket: A token that logs in once, as part of a URL, and reveals; it goes with *reveal*.

        Raises:
            ConfigurationError: There is no check, or a token is too short.
        """
        if not isinstance(auth, str) and not callable(auth):
            raise ConfigurationError(wrong("auth", "a token, or an async function of the request", auth))
        if reveal is not None and not isinstance(auth, str):
            raise ConfigurationError('reveal goes with a token: a function of yours returns "reveal" instead')
        self._function: Any = None if isinstance(auth, str) else auth
        self._tokens: dict[Level, bytes] = {}
        if isinstance(auth, str):
            self._tokens["view"] = _token("auth", auth)
        if reveal is not None:
            self._tokens["reveal"] = _token("reveal", reveal)
        if len(set(self._tokens.values())) < len(self._tokens):
            del auth, reveal
            raise ConfigurationError("auth and reveal must be different tokens: who knows the first is not to reveal")
        self._ticket = None if ticket is None else ticket.encode()
        # Cookies do not tell the ports of a host apart, on which several inspectors may be.
        self.cookie = f"pinwheel_inspector_{_mac(b''.join(self._tokens.values()), 'cookie')[:8]}"

    @property
    def has_login(self) -> bool:
        """Whether one logs in here, by a token."""
        return self._function is None

    @without_locals
    async def visitor(self, request: web.Request) -> Visitor | None:
        """Return who sent a request; None if they may see nothing."""
        return await self._visitor_by_function(request) if self._function else self._visitor_by_token(request)

    @without_locals
    def log_in(self, token: str) -> str | None:
        """Return the cookie of a new session; None if the token is wrong."""
        given = token.encode("utf-8", "replace")
        # Every token is compared, so that the time does not tell which was right.
        found: list[Level] = [level for level, expected in self._tokens.items() if hmac.compare_digest(given, expected)]
        return self._new_session(found[0]) if found else None

    @without_locals
    def use_ticket(self, ticket: str) -> str | None:
        """Return the cookie of a new session for a ticket; None if it is wrong, or was used before."""
        given = ticket.encode("utf-8", "replace")
        if self._ticket is None or not hmac.compare_digest(given, self._ticket):
            return None
        self._ticket = None
        return self._new_session("reveal")

    def name_of(self, session: str) -> str:
        """Return what the audit log calls a session."""
        return f"session {sha256(session.encode()).hexdigest()[:8]}"

    def _new_session(self, level: Level) -> str:
        signed = f"{level}.{int(time.time()) + SESSION_S}.{secrets.token_urlsafe(16)}"
        return f"{signed}.{self._sign(level, signed)}"

    def _sign(self, level: Level, signed: str) -> str:
        # Each level has a key of its own: whoever knows the token that looks cannot sign a session that reveals.
        return _mac(self._tokens[level], f"session {signed}")

    def _visitor_by_token(self, request: web.Request) -> Visitor | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            session = self.log_in(token.strip())
            return None if session is None else Visitor(name="bearer", may_reveal=session.startswith("reveal."))
        session = request.cookies.get(self.cookie, "")
        signed, _, mac = session.rpartition(".")
        for level in self._tokens:
            if not signed.startswith(f"{level}.") or not mac.isascii():
                continue
            if hmac.compare_digest(mac, self._sign(level, signed)) and int(signed.split(".")[1]) > time.time():
                name, csrf_token = self.name_of(session), _mac(session.encode(), "form")
                return Visitor(name=name, may_reveal=level == "reveal", has_session=True, csrf_token=csrf_token)
        return None

    async def _visitor_by_function(self, request: web.Request) -> Visitor | None:
        try:
            found = self._function(request)
            allowed: object = await found if inspect.isawaitable(found) else found
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # whatever it raises, it has not allowed anything
            if is_ctrl_c(error):
                raise
            _log.error("auth of the inspector failed: %s", type(error).__name__)
            return None
        # Not whatever is true: an object of a user who may not look would be.
        if allowed is not True and not (isinstance(allowed, str) and allowed == "reveal"):
            return None
        known = request.cookies.get(self.cookie, "")
        cookie = known or secrets.token_urlsafe(32)
        return Visitor(
            name=f"a visitor, form {sha256(cookie.encode('utf-8', 'replace')).hexdigest()[:8]}",
            may_reveal=allowed == "reveal",
            csrf_token=_mac(cookie.encode("utf-8", "replace"), "form"),
            new_cookie=None if known else cookie,
        )


def is_same_origin(request: web.Request) -> bool:
    """Whether a browser says that a page of this site sent a request; one that says nothing is no browser."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # it holds behind a proxy, too, that changes the name of the host
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()


def _token(name: str, given: object) -> bytes:
    if isinstance(given, str) and len(given) >= MIN_TOKEN and given.isascii() and given.isprintable():
        return given.encode()
    del given
    raise ConfigurationError(
        f"{name} must be a token of at least {MIN_TOKEN} ASCII characters, such as secrets.token_urlsafe()"
    )


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), sha256).hexdigest()
