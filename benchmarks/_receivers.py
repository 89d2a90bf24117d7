"""Webhook receivers to compare, each a server in a process of its own, and deliveries signed as each wants them.

All read the raw body, verify its signature, decode it, run one async handler that does nothing, and answer 200. They
are set up as their documentation does it: aiogram and slack-bolt answer first and run the handler in a task. One of
ours has a handler that waits for the event loop once, as every real handler does.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from _bench import event_body
from aiohttp import web

SECRET = "c2VjcmV0LW9mLWEtYmVuY2htYXJr"
PATH = "/webhooks/pinwheel"
WAITING = "/waiting"
HANDLED = "/handled"
TOKEN = "1:AAAA"
POSTGRES_VARIABLE = "PINWHEEL_ASYNC_BENCH_URL"
RECEIVES_ONLY = "pinwheel_async, PostgreSQL inbox, receives only"
"""Its handlers run in other processes, so only its answers count."""

_numbers = itertools.count(1)


def _update(number: int) -> bytes:
    chat = {"id": number % 500, "type": "private", "first_name": "Ann"}
    message = {
        "message_id": number,
        "date": 1773760000,
        "chat": chat,
        "from": chat | {"is_bot": False},
        "text": "x" * 220,
    }
    message["from"].pop("type")
    return json.dumps({"update_id": number, "message": message}).encode()


def _mention(number: int) -> bytes:
    event = {"type": "app_mention", "user": "U1", "text": "x" * 180, "ts": "1", "channel": "C1", "event_ts": "1"}
    envelope = {"token": "t", "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_time": 1773760000}
    return json.dumps(envelope | {"event": event, "event_id": f"Ev{number}", "authorizations": []}).encode()


def _hex(message: bytes) -> str:
    return hmac.new(SECRET.encode(), message, "sha256").hexdigest()


def signed(name: str) -> bytes:
    """Make the next delivery for a contender, as it goes over the wire."""
    number, now = next(_numbers), str(int(time.time()))
    stamp = now.encode()
    if name.startswith("aiogram"):
        body, headers = _update(number), {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    elif name.startswith("slack"):
        body = _mention(number)
        headers = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": "v0=" + _hex(b"v0:%b:%b" % (stamp, body))}
    elif name.startswith("FastAPI"):
        body = event_body(number)
        mac = hmac.new(base64.b64decode(SECRET), b"msg_%d.%b.%b" % (number, stamp, body), hashlib.sha256).digest()
        headers = {"webhook-id": f"msg_{number}", "webhook-timestamp": now}
        headers["webhook-signature"] = "v1," + base64.b64encode(mac).decode()
    else:
        body = event_body(number)
        headers = {"x-timestamp": now, "x-pinwheel-signature": "v2=" + _hex(b"v2:%b:%b" % (stamp, body))}
        headers |= {"pinwheel-version": "2025-07-08", "x-pinwheel-webhook-id": "8a1f9f0e-3a55-4f6e-9c1e-1f1d5a0c7b10"}
    fields = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def _on_port(app: web.Application) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _bare(_: Path) -> int:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application()
    app.router.add_post(PATH, handle)
    return await _on_port(app)


async def _nothing() -> None:
    pass


async def _wait() -> None:
    await asyncio.sleep(0.002)


async def _compute() -> None:
    end = time.perf_counter() + 0.0003
    while time.perf_counter() < end:
        pass


def _ours(
    inbox: Callable[[Path], Any],
    *,
    work: Callable[[], Awaitable[None]] = _nothing,
    notes: bool = False,
    receives_only: bool = False,
) -> Callable[[Path], Awaitable[int]]:
    async def start(directory: Path) -> int:
        from pinwheel_async.events import IncomeAdded  # noqa: PLC0415  # each process imports its own contender
        from pinwheel_async.webhooks import Router, webhook_app  # noqa: PLC0415

        router = Router()
        handled: list[tuple[str, float]] = []

        @router.on(IncomeAdded)
        async def on_income(event: IncomeAdded) -> None:
            if notes:
                handled.append((event.event_id, time.monotonic()))
            await work()

        store = inbox(directory)

        async def waiting(_: web.Request) -> web.Response:
            counts = await store.counts()
            return web.json_response(counts.waiting + counts.claimed)

        app = web.Application()
        app.add_subapp(PATH, webhook_app(router, secrets=[SECRET], inbox=store, work=not receives_only))

        async def handled_since(_: web.Request) -> web.Response:
            found = handled[:]
            handled.clear()
            return web.json_response(found)

        app.router.add_get(HANDLED, handled_since)
        app.router.add_get(WAITING, waiting)  # the health is shared for a second, and too coarse for turns this short
        return await _on_port(app)

    return start


def _sqlite(directory: Path) -> Any:
    from pinwheel_async.webhooks import SqliteInbox  # noqa: PLC0415

    return SqliteInbox(directory / "inbox.db")


def _memory(_: Path) -> Any:
    from pinwheel_async.webhooks import MemoryInbox  # noqa: PLC0415

    return MemoryInbox()


def _postgres(_: Path) -> Any:
    from pinwheel_async.webhooks import PostgresInbox  # noqa: PLC0415

    return PostgresInbox(os.environ[POSTGRES_VARIABLE], max_waiting=None)


async def _fastapi(_: Path) -> int:
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI, Request  # noqa: PLC0415
    from pydantic import BaseModel  # noqa: PLC0415
    from standardwebhooks import Webhook  # noqa: PLC0415

    class Payload(BaseModel):
        id: str | None
        name: str
        timestamp: str
        outcome: str
        error_code: str | None
        error_type: str | None
        link_token_id: str | None
        account_id: str
        end_user_id: str | None

    class Envelope(BaseModel):
        event_id: str
        event: str
        payload: Payload

    app, verifier = FastAPI(), Webhook(SECRET)

    async def on_income(event: Envelope) -> None:
        pass

    @app.post(PATH)
    async def receive(request: Request) -> dict[str, str]:
        body = await request.body()
        verifier.verify(body, dict(request.headers))
        await on_income(Envelope.model_validate_json(body))
        return {}

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    _kept.append(asyncio.create_task(server.serve()))
    while not server.started:  # noqa: ASYNC110  # it does not tell
        await asyncio.sleep(0.01)
    return int(server.servers[0].sockets[0].getsockname()[1])


async def _aiogram(_: Path) -> int:
    from aiogram import Bot, Dispatcher  # noqa: PLC0415
    from aiogram.types import Message  # noqa: PLC0415
    from aiogram.webhook.aiohttp_server import SimpleRequestHandler  # noqa: PLC0415

    dispatcher, app = Dispatcher(), web.Application()

    async def on_message(message: Message) -> None:
        pass

    dispatcher.message.register(on_message)
    receiver = SimpleRequestHandler(dispatcher, Bot(TOKEN), secret_token=SECRET)
    receiver.register(app, path=PATH)
    return await _on_port(app)


async def _slack(_: Path) -> int:
    from slack_bolt.async_app import AsyncApp  # noqa: PLC0415
    from slack_bolt.authorization import AuthorizeResult  # noqa: PLC0415

    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1", bot_user_id="U2", bot_id="B1")

    bolt = AsyncApp(signing_secret=SECRET, authorize=authorize)

    @bolt.event("app_mention")
    async def on_mention(event: dict[str, Any]) -> None:
        pass

    return await _on_port(bolt.web_app(path=PATH))


CONTENDERS: dict[str, Callable[[Path], Awaitable[int]]] = {
    "bare aiohttp handler": _bare,
    "pinwheel_async, no inbox": _ours(lambda _: None),
    "pinwheel_async, memory inbox": _ours(_memory),
    "pinwheel_async, SQLite inbox, FULL": _ours(_sqlite),
    "pinwheel_async, SQLite inbox, handler waits": _ours(_sqlite, work=lambda: asyncio.sleep(0)),
    RECEIVES_ONLY: _ours(_postgres, receives_only=True),
    "FastAPI, verifier, uvicorn": _fastapi,
    "aiogram": _aiogram,
    "slack-bolt": _slack,
}
"""How to start each of them; what comes back is the port."""

OPEN_LOOP: dict[str, Callable[[Path], Awaitable[int]]] = {
    "pinwheel_async, SQLite inbox, handler does nothing": _ours(_sqlite, notes=True),
    "pinwheel_async, SQLite inbox, handler waits 2 ms": _ours(_sqlite, work=_wait, notes=True),
    "pinwheel_async, SQLite inbox, handler computes 0.3 ms": _ours(_sqlite, work=_compute, notes=True),
}
"""Those that note when each event was handled."""

_kept: list[Any] = []


async def _serve(name: str, directory: Path) -> None:
    print(await (CONTENDERS | OPEN_LOOP)[name](directory), flush=True)
    # The parent holds the other end of stdin: when it is gone, so are we.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[3])))
