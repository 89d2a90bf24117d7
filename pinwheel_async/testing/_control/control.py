"""Control endpoints of the fake under `/_fake/`, so that programs in any language, and people, can drive it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import attrs
import msgspec
from attrs import Factory, field, frozen

from pinwheel_async._core.arguments import meant
from pinwheel_async._core.fields import is_object
from pinwheel_async._privacy import Discreet
from pinwheel_async.testing._api.faults import Cut, Fault
from pinwheel_async.testing._api.request import Reply
from pinwheel_async.testing._clock import FakeClock
from pinwheel_async.testing._control.link import Linked, LinkStandIn
from pinwheel_async.testing._webhooks.outbox import Attempt
from pinwheel_async.testing._webhooks.scenarios import SCENARIOS, PlayedScenario
from pinwheel_async.testing._world.world import World

CONTROL = "/_fake/"
"""What the path of every control endpoint begins with."""

_PAGES: Mapping[str, tuple[str, str]] = {
    "": ("control.html", "text/html; charset=utf-8"),
    "control.js": ("control.js", "text/javascript; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    "link": ("link.html", "text/html; charset=utf-8"),
    "link.js": ("link.js", "text/javascript; charset=utf-8"),
    "modal.js": ("modal.js", "text/javascript; charset=utf-8"),
}
"""Files by what follows in the path, and their types."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'none';"
    " base-uri 'none'"
)


class Controlled(Linked, Protocol):
    """What the endpoints need of `FakePinwheel`."""

    clock: FakeClock
    api_secret: str

    @property
    def deliveries(self) -> Iterable[Attempt]: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    def script(
        self, *faults: Fault, times: int, operation: str | None, path: str | None, account_id: str | None
    ) -> None: ...
    def fail_randomly(
        self,
        probability: float,
        fault: Fault | None,
        *,
        seed: int,
        operation: str | None,
        path: str | None,
        account_id: str | None,
    ) -> None: ...
    def rate_limit(self, *, requests_per_s: float | None, in_flight: int | None) -> None: ...
    def webhook_faults(
        self, *, duplicate: float, reorder: float, delay: float, corrupt: float, lose: float, seed: int
    ) -> None: ...
    def clear_faults(self) -> None: ...
    async def deliver(self, event: str, /, *, account_id: str | None, event_id: str | None, **payload: Any) -> str: ...
    async def redeliver(self, event_id: str) -> None: ...
    async def advance(self, seconds: float) -> None: ...
    async def reset(self) -> None: ...


@frozen(kw_only=True)
class Connect(Discreet):
    """Body of `connect`."""

    scenario: str = "happy"
    account_id: str | None = None
    end_user_id: str | None = None
    link_token_id: str | None = None
    employer_id: str | None = None


@frozen(kw_only=True)
class Advance:
    """Body of `advance`."""

    seconds: float


@frozen(kw_only=True)
class FaultParts(Discreet):
    """One fault, as `Fault` has it."""

    status: int | None = None
    retry_after_s: float | None = None
    delay_s: float = 0.0
    cut: Cut | None = None
    body: str | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    headers: dict[str, str] = field(factory=dict[str, str], repr=False)

    def fault(self) -> Fault:
        """Return the fault."""
        return Fault(
            status=self.status,
            retry_after_s=self.retry_after_s,
            delay_s=self.delay_s,
            cut=self.cut,
            body=None if self.body is None else self.body.encode(),
            json=self.json,
            headers=tuple(self.headers.items()),
        )


@frozen(kw_only=True)
class Faults:
    """Body of `faults`: faults of the next requests that fit, or, with a probability, of any of them."""

    faults: list[FaultParts]
    times: int = 1
    operation: str | None = None
    path: str | None = None
    account_id: str | None = None
    probability: float | None = None
    seed: int = 0


@frozen(kw_only=True)
class RateLimit:
    """Body of `rate-limit`."""

    requests_per_s: float | None = None
    in_flight: int | None = None


@frozen(kw_only=True)
class WebhookFaults:
    """Body of `webhook-faults`: the chance of each, from 0 to 1."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    corrupt: float = 0.0
    lose: float = 0.0
    seed: int = 0


@frozen(kw_only=True)
class Deliver(Discreet):
    """Body of `deliver`."""

    event: str
    account_id: str | None = None
    event_id: str | None = None
    payload: dict[str, Any] = Factory(dict[str, Any])


@frozen(kw_only=True)
class Redeliver:
    """Body of `redeliver`."""

    event_id: str


@frozen(kw_only=True)
class Nobody:
    """Body of what needs none."""


class _UnknownError(Exception):
    """There is no such endpoint, or not with this method."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


_Query = Mapping[str, Sequence[str]]
_Action = Callable[[Any, _Query], Awaitable[Any]]


class Control:
    """Answers requests for `/_fake/...`; each endpoint is a row of a method, a name, a body and an action."""

    def __init__(self, fake: Controlled) -> None:
        self._fake = fake
        link = LinkStandIn(fake)
        self._endpoints: Mapping[tuple[str, str], tuple[type[Any], _Action]] = {
            ("GET", "state"): (Nobody, self._state),
            ("GET", "scenarios"): (Nobody, self._scenarios),
            ("GET", "accounts"): (Nobody, self._accounts),
            ("POST", "connect"): (Connect, self._connect),
            ("POST", "advance"): (Advance, self._advance),
            ("POST", "faults"): (Faults, self._order_faults),
            ("DELETE", "faults"): (Nobody, self._clear_faults),
            ("POST", "rate-limit"): (RateLimit, self._rate_limit),
            ("POST", "webhook-faults"): (WebhookFaults, self._webhook_faults),
            ("GET", "deliveries"): (Nobody, self._deliveries),
            ("POST", "deliver"): (Deliver, self._deliver),
            ("POST", "redeliver"): (Redeliver, self._redeliver),
            ("POST", "reset"): (Nobody, self._reset),
            **{key: (body, _without_query(action)) for key, (body, action) in link.endpoints.items()},
        }

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer a request; never raises. What was wrong is said in the answer, in words."""
        path, _, query = target.partition("?")
        name = path.removeprefix(CONTROL)
        if method == "GET" and name in _PAGES:
            return _page(name)
        if not _is_same_origin(headers):
            return _json(403, {"error": "a page of another site must not drive the fake"})
        try:
            kind, action = self._find(method, name)
            found = await action(_read(kind, body), parse_qs(query))
        except _UnknownError as error:
            return _json(error.status, {"error": str(error)})
        except (
            msgspec.MsgspecError,
            ValueError,
            TypeError,
            OverflowError,
        ) as error:  # the first is no ValueError before 0.23
            return _json(400, {"error": str(error)})
        return _json(200, found)

    def _find(self, method: str, name: str) -> tuple[type[Any], _Action]:
        found = self._endpoints.get((method, name))
        if found is not None:
            return found
        methods = [known for known, path in self._endpoints if path == name]
        if methods:
            raise _UnknownError(405, f"{CONTROL}{name} is asked with {' or '.join(methods)}")
        names = sorted({path for _, path in self._endpoints})
        known = ", ".join(names)
        raise _UnknownError(404, f"there is no {CONTROL}{name}{meant(name, names)}; there are {known}")

    async def _state(self, _: Nobody, __: _Query) -> Any:
        fake, clock = self._fake, self._fake.clock
        return {
            "now": clock.now(),
            "speed": None if clock.stands else clock.speed,
            "data_ends": fake.world.end,
            "accounts": fake.world.account_count,
            "api_secret": fake.api_secret,
            "webhooks": list(fake.world.resources.webhooks.values()),
            "requests": dict(fake.counts),
        }

    async def _scenarios(self, _: Nobody, __: _Query) -> Any:
        return {name: scenario.about for name, scenario in SCENARIOS.items()}

    async def _accounts(self, _: Nobody, query: _Query) -> Any:
        world = self._fake.world
        limit = int(query.get("limit", ["100"])[0])
        first = max(0, world.account_count - limit)
        return [_account(world, index) for index in range(world.account_count - 1, first - 1, -1)]

    async def _connect(self, body: Connect, _: _Query) -> Any:
        return _shown(await self._fake.play(**attrs.asdict(body)))

    async def _advance(self, body: Advance, query: _Query) -> Any:
        await self._fake.advance(body.seconds)
        return await self._state(Nobody(), query)

    async def _order_faults(self, body: Faults, _: _Query) -> Any:
        faults = [parts.fault() for parts in body.faults]
        operation, path, account_id = body.operation, body.path, body.account_id
        if body.probability is None:
            self._fake.script(*faults, times=body.times, operation=operation, path=path, account_id=account_id)
            return {}
        chosen: list[Fault | None] = [*faults] or [None]
        for fault in chosen:
            self._fake.fail_randomly(
                body.probability, fault, seed=body.seed, operation=operation, path=path, account_id=account_id
            )
        return {}

    async def _clear_faults(self, _: Nobody, __: _Query) -> Any:
        self._fake.clear_faults()
        return {}

    async def _rate_limit(self, body: RateLimit, _: _Query) -> Any:
        self._fake.rate_limit(**attrs.asdict(body))
        return {}

    async def _webhook_faults(self, body: WebhookFaults, _: _Query) -> Any:
        self._fake.webhook_faults(**attrs.asdict(body))
        return {}

    async def _deliveries(self, _: Nobody, query: _Query) -> Any:
        names = {"event", "event_id", "webhook_id"}
        wrong = sorted(set(query) - names)
        if wrong:
            raise ValueError(f"there is no filter {wrong[0]}{meant(wrong[0], names)}")
        wanted = {name: values[-1] for name, values in query.items()}
        attempts = [attrs.asdict(attempt) for attempt in self._fake.deliveries]
        return [attempt for attempt in attempts if all(attempt[name] == value for name, value in wanted.items())]

    async def _deliver(self, body: Deliver, _: _Query) -> Any:
        event_id = await self._fake.deliver(
            body.event, account_id=body.account_id, event_id=body.event_id, **body.payload
        )
        return {"event_id": event_id}

    async def _redeliver(self, body: Redeliver, _: _Query) -> Any:
        await self._fake.redeliver(body.event_id)
        return {"event_id": body.event_id}

    async def _reset(self, _: Nobody, query: _Query) -> Any:
        await self._fake.reset()
        return await self._state(Nobody(), query)


def _without_query(action: Callable[[Any], Awaitable[Any]]) -> _Action:
    async def act(body: Any, _: _Query) -> Any:
        return await action(body)

    return act


def _account(world: World, index: int) -> Any:
    account = world.entries(index, "account")[0]
    return {"id": world.account_id(index), **{name: account.facts[name] for name in ("end_user_id", "connected")}}


def _shown(played: PlayedScenario) -> Any:
    return {
        "scenario": played.scenario,
        "end_user_id": played.end_user_id,
        "link_token_id": played.link_token_id,
        "account_ids": list(played.account_ids),
        "duration_s": played.duration_s,
        "link_events": [{"name": name, "payload": payload} for name, payload in played.link_events],
    }


def _read(kind: type[Any], body: bytes) -> Any:
    """Read a body, and refuse what it does not have.

    Raises:
        ValueError: It is no JSON object, lacks something, or has too much.
    """
    try:
        given = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is not a JSON object") from None
    _check_names(given, kind)
    for parts in given.get("faults", ()) if kind is Faults else ():
        _check_names(parts, FaultParts)
    return msgspec.convert(given, kind)


def _check_names(given: Any, kind: type[Any]) -> None:
    names = [attribute.name for attribute in attrs.fields(kind)]
    for name in given if is_object(given) else ():
        if name not in names:
            raise ValueError(f"there is no field {name}{meant(name, names)}; there are {', '.join(names) or 'none'}")


def _is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of the fake itself, or from no page at all."""
    origin = headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == headers.get("Host")


def _page(name: str) -> Reply:
    file, kind = _PAGES[name]
    content = (files("pinwheel_async.testing._control") / file).read_bytes()
    headers = {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if kind.startswith("text/html"):
        # Any page may show the stand-in for Link in a frame, as it would show Link; nobody may frame the control page.
        framing = "" if name == "link" else "; frame-ancestors 'none'"
        headers |= {"Content-Security-Policy": f"{_POLICY}{framing}", "Referrer-Policy": "no-referrer"}
    return Reply(200, content, headers)


def _json(status: int, found: Any) -> Reply:
    return Reply(status, msgspec.json.encode(found), {"Content-Type": "application/json", "Cache-Control": "no-store"})
