"""Recorder and player: a proxy on loopback in front of the API, and a server in place of it."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias, TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, web

from pinwheel_async._core.fields import is_object
from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import EVENTS
from pinwheel_async.settings import LATEST_VERSION, Environment, find_base_url, is_version
from pinwheel_async.testing._api.routes import Routes, choose
from pinwheel_async.testing._recorder.cassette import Content, Exchange, read, write
from pinwheel_async.testing._recorder.mask import Mask
from pinwheel_async.testing._webhooks.signed import SignedDelivery, signed_delivery

_TIMEOUT_S = 60.0

_LEFT_OUT = frozenset(
    {"host", "content-length", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "expect"}
    | {"accept-encoding", "content-encoding"}
)
"""Headers of a connection, and those of an encoding that ends here."""

_KEPT_HEADERS = ("content-type", "pinwheel-version", "retry-after")

_WORD = re.compile(r"[a-z_]*|v\d", re.ASCII)
"""What segments of a path that nobody documents look like where they are words of the API, and not ids."""

_ROUTES = Routes(ENDPOINTS)


class _Server:
    """HTTP server on loopback, for the length of a block."""

    def __init__(self) -> None:
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """Scheme, host and port, to be called instead of the API; only in the block."""
        if self._runner is None:
            raise RuntimeError("not started: use it in an `async with` block")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _start(self) -> None:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        raise NotImplementedError


class Recorder(_Server, Discreet):
    """Proxy in front of the sandbox that writes a cassette: what was answered, and webhooks, all of it masked.

    ```python
    async with Recorder("tests/happy.json") as recorder:
        async with Pinwheel(base_url=recorder.base_url) as pinwheel:
            await pinwheel.income.get(account_id)
    ```

    Ids, names, numbers, URLs and all other text are replaced by others of their kind, the same wherever they stand;
    days and moments are moved by the same number of weeks; documented words, such as statuses and currencies, stay.
    Fields that no model has are masked, too. Requests are kept by method, path and query: secret, headers and bodies
    never are. The key of the mask is random and is forgotten. What failed half-way writes nothing.
    """

    def __init__(
        self, path: str | Path, *, environment: Environment | None = "sandbox", base_url: str | None = None
    ) -> None:
        """Say what is recorded where.

        Args:
            path: File of the cassette; an older one is replaced at the end of the block.
            environment: Where the API key belongs; None for what the variables say.
            base_url: Scheme and host of the API, instead of those of the environment.

        Raises:
            ConfigurationError: It is no base URL, or would show the secret to the network.
        """
        super().__init__()
        self._path = Path(path)
        self._upstream = find_base_url(base_url, None if base_url is not None else environment)
        self._mask = Mask()
        self._content = Content()
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Begin to record."""
        self._session = ClientSession(cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=_TIMEOUT_S))
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and write the cassette unless the block failed."""
        await self._stop()
        if self._session is not None:
            await self._session.close()
        if error is None:
            write(self._path, self._content)

    def masked(self, value: str) -> str:
        """Return what stands for an id, a name or other text in this cassette, to be used by what plays it."""
        return self._mask.text(value)

    @without_locals
    def record_webhook(self, headers: Mapping[str, str], body: bytes) -> None:
        """Keep a webhook; call it for each delivery that comes, with its headers and its raw body, if it is authentic.

        Args:
            headers: Headers of the request: of them only the version of the payload is kept.
            body: The raw bytes.

        Raises:
            ValueError: The body is not JSON.
        """
        found = _json(body)
        if found is None:
            del body
            raise ValueError("the body of a webhook must be JSON")
        given = {name.lower(): value for name, value in headers.items()}.get("pinwheel-version")
        version = given if is_version(given) else LATEST_VERSION
        kind = EVENTS.get(str(found.get("event"))) if is_object(found) else None
        self._content.webhooks.append({"version": version, "body": self._mask.event(found, kind)})

    async def _answer(self, request: web.Request) -> web.Response:
        """Ask the API, keep what it answers, and answer the same."""
        if self._session is None:
            raise RuntimeError("not started")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _LEFT_OUT}
        try:
            async with self._session.request(
                request.method,
                f"{self._upstream}{request.raw_path}",
                headers=headers,
                data=await request.read() or None,
                allow_redirects=False,
            ) as response:
                body = await response.read()
                status = response.status
                answered = {name: value for name, value in response.headers.items() if name.lower() not in _LEFT_OUT}
        except (ClientError, OSError, TimeoutError):
            return web.Response(status=502)  # it is not kept: a cassette has what the API answered
        self._keep(request, status, answered, body)
        return web.Response(status=status, headers=answered, body=body)

    def _keep(self, request: web.Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
        found = _ROUTES.find(request.raw_path.partition("?")[0])
        rows = found.rows.get(request.method, []) if found is not None else []
        row = choose(rows, ()) if rows else None
        data: Any = row.result if row is not None else None
        if row is not None and row.shape == "page":
            data = GenericAlias(tuple, (row.result, ...))
        lowered = {name.lower(): value for name, value in headers.items()}
        kinds: Mapping[str, Any] = {} if row is None else dict(row.kinds)
        path = request.raw_path.partition("?")[0]
        self._content.exchanges.append(
            Exchange(
                method=request.method,
                path=self._masked_path(path, None if row is None else row.path),
                query=tuple([(name, self._parameter(name, value, kinds)) for name, value in request.query.items()]),
                status=status,
                headers={name: lowered[name] for name in _KEPT_HEADERS if name in lowered},
                body=self._mask.body(_json(body), data, None if row is None else row.meta),
            )
        )

    def _masked_path(self, path: str, template: str | None) -> str:
        """Mask the segments that are no words of the template of a path, or of one that has none."""
        known = template.split("/") if template is not None else []
        segments = path.split("/")
        if len(known) != len(segments):
            known = [segment if _WORD.fullmatch(segment) else "{" for segment in segments]
        return "/".join(
            quote(self._mask.text(unquote(segment))) if word.startswith("{") else segment
            for word, segment in zip(known, segments, strict=True)
        )

    def _parameter(self, name: str, value: str, kinds: Mapping[str, Any]) -> str:
        if name == "limit" or value in {"true", "false"}:
            return value
        return str(self._mask.value(value, kinds.get(name), name))


class CassettePlayer(_Server, Discreet):
    """Server that answers as a cassette says, and the webhooks of it, signed anew.

    ```python
    async with CassettePlayer("tests/happy.json") as player:
        async with Pinwheel("secret", base_url=player.base_url) as pinwheel:
            income = await pinwheel.income.get(player.account_ids[0])
    ```

    A request gets the answers that one of the same method, path and query got, in their order, and the last one from
    then on; if none has that query, those of the same path. What was not recorded is answered 501, and listed in
    `unknown`.
    """

    def __init__(self, path: str | Path) -> None:
        """Load a cassette.

        Raises:
            ValueError: It is none.
            OSError: It cannot be read.
        """
        super().__init__()
        self._content = read(Path(path))
        self._played: Counter[tuple[str, str, tuple[tuple[str, str], ...] | None]] = Counter()
        self.unknown: list[str] = []
        """Method and path of each request that the cassette has no answer to."""

    async def __aenter__(self) -> Self:
        """Begin to answer."""
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._stop()

    @property
    def account_ids(self) -> tuple[str, ...]:
        """Ids of the accounts in the paths of the cassette, in the order in which they were asked about."""
        parts = [exchange.path.split("/") for exchange in self._content.exchanges]
        return tuple(dict.fromkeys([part[3] for part in parts if part[:3] == ["", "v1", "accounts"] and len(part) > 3]))

    @without_locals
    def deliveries(self, *, secret: str) -> tuple[SignedDelivery, ...]:
        """Return the recorded webhooks in their order, signed now.

        Args:
            secret: The secret that signs.
        """
        return tuple(
            [
                signed_delivery(json.dumps(webhook["body"]).encode(), secret=secret, version=webhook["version"])
                for webhook in self._content.webhooks
            ]
        )

    async def _answer(self, request: web.Request) -> web.Response:
        path, query = request.raw_path.partition("?")[0], tuple(request.query.items())
        of_path = [
            exchange
            for exchange in self._content.exchanges
            if (exchange.method, exchange.path) == (request.method, path)
        ]
        exact = [exchange for exchange in of_path if sorted(exchange.query) == sorted(query)]
        found = exact or of_path
        if not found:
            self.unknown.append(f"{request.method} {path}")
            return web.json_response({"error": {"type": "NOT_RECORDED", "code": "NOT_RECORDED"}}, status=501)
        key = (request.method, path, tuple(sorted(query)) if exact else None)
        exchange = found[min(self._played[key], len(found) - 1)]
        self._played[key] += 1
        body = b"" if exchange.body is None else json.dumps(exchange.body).encode()
        return web.Response(status=exchange.status, headers=exchange.headers, body=body)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
