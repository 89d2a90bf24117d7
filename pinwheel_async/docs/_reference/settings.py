"""Page of the settings: the arguments of what is configured, and the variables of the environment."""

from collections.abc import Callable
from typing import Any

from pinwheel_async import Pinwheel, RetryPolicy
from pinwheel_async.docs._reference.markdown import code, table
from pinwheel_async.docs._source import all_fields_of, arguments_of
from pinwheel_async.sync import JsonLinesSink, Mirror, ParquetSink, SqlSink, sync
from pinwheel_async.testing import FakePinwheel
from pinwheel_async.webhooks import (
    PostgresInbox,
    Readiness,
    Receiver,
    Router,
    SqliteInbox,
    Subscriptions,
    webhook_app,
    work,
)

CONFIGURED: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("Pinwheel", Pinwheel),
    ("Receiver", Receiver),
    ("webhook_app", webhook_app),
    ("work", work),
    ("Router.on", Router.on),
    ("SqliteInbox", SqliteInbox),
    ("PostgresInbox", PostgresInbox),
    ("Readiness", Readiness),
    ("Subscriptions", Subscriptions),
    ("sync", sync),
    ("SqlSink", SqlSink),
    ("ParquetSink", ParquetSink),
    ("JsonLinesSink", JsonLinesSink),
    ("Mirror", Mirror),
    ("FakePinwheel", FakePinwheel),
)
"""What takes settings, in the order of the page."""

VARIABLES: tuple[tuple[str, str, str], ...] = (
    (
        "PINWHEEL_API_SECRET",
        "client, command line",
        (
            "The secret of an API key, unless `Pinwheel` is given one. The command line takes it from here only, "
            "because arguments stand in the list of processes."
        ),
    ),
    (
        "PINWHEEL_BASE_URL",
        "client, command line",
        (
            "Scheme and host to call, and the path of a gateway; goes before `PINWHEEL_ENVIRONMENT`. What the "
            "program passes goes before both."
        ),
    ),
    (
        "PINWHEEL_ENVIRONMENT",
        "client, command line",
        "`sandbox`, `development` or `production`; without it the sandbox.",
    ),
    (
        "PINWHEEL_INBOX",
        "command line",
        "SQLite file of the inbox, or URL of a PostgreSQL database; `inbox.db` if not set.",
    ),
    ("PINWHEEL_INBOX_KEY", "command line", "Key of an encrypted inbox: 32 bytes in base64."),
    ("PINWHEEL_INBOX_OLD_KEYS", "command line", "Keys that the inbox had before, in base64, apart by spaces."),
    (
        "PINWHEEL_FORWARD_SECRET",
        "`pinwheel-async listen`, `inbox resend`",
        "Secret of another receiver, with which deliveries are signed that go to it.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "client, command line",
        (
            "HTTP proxy, unless `Pinwheel` is given one, or `trust_env=False`; never for a server on this "
            "machine. In small letters, too."
        ),
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "client, command line",
        "Certificate authorities to trust, as OpenSSL reads them, unless `ssl` is given.",
    ),
    (
        "PGPASSWORD and the like",
        "`SqlSink`",
        "What asyncpg reads for what the URL of a PostgreSQL database leaves out.",
    ),
    ("USERNAME, SUDO_USER", "`pinwheel-async inbox body`", "Who read a body, as the record of readings has it."),
)
"""Variables of the environment: names, who reads them, meaning."""

_INTRODUCTION = """# Settings

There is no file of settings: what configures the library are arguments, and a few variables of the environment.

## Variables of the environment

"""


def settings_page() -> str:
    """Return the page."""
    rows = [
        [", ".join(map(code, names.split(", "))) if names.isupper() or "," in names else names, who, meaning]
        for names, who, meaning in VARIABLES
    ]
    parts = [_INTRODUCTION, table(["variable", "read by", "meaning"], rows)]
    for name, value in CONFIGURED:
        arguments = [
            [code(argument.name), code(argument.default) or "-", argument.doc] for argument in arguments_of(value)
        ]
        parts += [f"\n## {name}\n", table(["argument", "default", "meaning"], arguments)]
    fields = [
        [code(field.name), code(field.default), field.doc]
        for field in all_fields_of(RetryPolicy).values()
        if not field.name.startswith("_")
    ]
    parts += ["\n## RetryPolicy\n", table(["argument", "default", "meaning"], fields)]
    return "\n".join(parts)
