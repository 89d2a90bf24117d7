"""Receiver: keeps the net pay of every paystub in a table of its own, current by webhooks."""

import os
import sqlite3
from collections.abc import AsyncIterator

from aiohttp import web

from pinwheel_async import Pinwheel
from pinwheel_async.events import PaystubsAdded
from pinwheel_async.webhooks import Context, Inbox, Router, SqliteInbox, webhook_app

PINWHEEL = web.AppKey("PINWHEEL", Pinwheel)
DATABASE = web.AppKey("DATABASE", sqlite3.Connection)

_TABLE = "CREATE TABLE IF NOT EXISTS pay (id TEXT PRIMARY KEY, account_id TEXT, pay_date TEXT, cents INTEGER)"
_STORE = "INSERT OR REPLACE INTO pay VALUES (?, ?, ?, ?)"  # the same again does no harm: events come at least once
_DELETE = "DELETE FROM pay WHERE id = ?"


async def store_paystubs(event: PaystubsAdded, context: Context) -> None:
    """Fetch what the event announces, and store it in one transaction."""
    pinwheel, database = context.app[PINWHEEL], context.app[DATABASE]
    found = [await pinwheel.paystubs.get(account_id=event.account_id, paystub_id=added.id) for added in event.added]
    with database:
        database.executemany(_DELETE, [(deleted.id,) for deleted in event.deleted])
        database.executemany(
            _STORE, [(stub.id, stub.account_id, stub.pay_date.isoformat(), stub.net_pay_amount) for stub in found]
        )


def make_app(pinwheel: Pinwheel, api_secret: str, *, database: str, inbox: Inbox | None) -> web.Application:
    """Make the application; without an inbox a delivery is handled before it is answered."""
    router = Router()
    router.on(PaystubsAdded, outcome="success")(store_paystubs)
    app = web.Application()
    app[PINWHEEL] = pinwheel

    async def keep_database(app: web.Application) -> AsyncIterator[None]:
        app[DATABASE] = sqlite3.connect(database)
        app[DATABASE].execute(_TABLE)
        yield
        app[DATABASE].close()

    app.cleanup_ctx.extend([pinwheel.cleanup_ctx, keep_database])
    # `root=app` is what handlers find as `context.app`; without it, that is the sub-application.
    app.add_subapp("/webhooks/pinwheel", webhook_app(router, secrets=[api_secret], inbox=inbox, root=app))
    return app


def main() -> None:
    """Run the server."""
    app = make_app(Pinwheel(), os.environ["PINWHEEL_API_SECRET"], database="pay.db", inbox=SqliteInbox("inbox.db"))
    web.run_app(app, port=8080, access_log=None)


if __name__ == "__main__":
    main()
