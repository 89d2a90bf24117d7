"""Table of the commands, and exit codes: an error is one line on stderr."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from pinwheel_async._version import __version__
from pinwheel_async.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PinwheelError,
    RequestError,
    UnauthorizedError,
)

_HELP = """Talk to the Pinwheel payroll API.

The API secret comes from the variable `PINWHEEL_API_SECRET` only: an argument would show in the list of processes. So
does the key of an encrypted inbox, in base64, from `PINWHEEL_INBOX_KEY`.
"""

_EPILOGUE = """
Exit codes: 0 all well; 1 some accounts failed, or a check found problems; 2 wrong usage or configuration, also what the
API refuses as a wrong request or does not know; 3 the secret is not accepted; 4 the network, the API, a receiver, the
database or the inbox failed; 130 interrupted.
"""

# Names, not functions: a command's module, and what it imports, such as a database, is loaded only when it is called.
_COMMANDS = {
    "demo": "Receive webhooks of a made-up workspace and sync it into a SQLite file: no key, no network.",
    "quickstart": "Connect with Link in the browser, and see webhooks arrive and paystubs appear: no key, no network.",
    "fake": """Serve a made-up Pinwheel for tests in any language: the API, Link sessions, signed webhooks, faults.

    JSON endpoints to drive it, and a page with buttons, are below /_fake/. SIGINT (ctrl-C) and SIGTERM end it.
    """,
    "sync": """Copy accounts and their data into a database; running again goes on, and fetches what changed.

    SIGINT (ctrl-C) and SIGTERM end it early: what was fetched is stored, and the report says what was done. The exit
    code is 130 then; a second signal ends it at once. The next run goes on.
    """,
    "status": "Say what a copy holds: how complete and how fresh it is, and what failed.",
    "export": "Write the tables of a copy into Parquet or CSV files.",
    "purge": """Remove an account, all accounts of an end user, or what is from before a day, for good, and prove it.

    Disconnect the accounts first, or the data comes again. Backups and exported files are out of reach.
    """,
    "accounts": "List the accounts of the workspace.",
    "get": "Print an account, or one of its products, as JSON: payroll data. Of a list, each object is a line.",
    "link_token": "Make a Link token and print it: a secret, with which Link opens as this end user.",
    "listen": """Receive webhooks and print a line for each: ids, names and counts, no payroll data.

    With --forward-to they go on to another receiver; with --apply the API sends them for as long as it runs.

    SIGINT (ctrl-C) and SIGTERM let what is being handled finish; what is left waits in the inbox. After SIGINT the exit
    code is 130, after SIGTERM 0.
    """,
    "work": """Handle what an inbox holds, beside receivers that only store, until SIGTERM or SIGINT.

    Running handlers finish, the rest stays in the inbox, and the exit code is 0.
    """,
    "migrate": """Make the tables of a copy, and of an inbox in PostgreSQL, or bring them up to date.

    For roles that may do that, before programs start whose role may not (`migrate=False`), or as a step of a deploy.
    """,
    "deploy": """Print files for Docker Compose, Kubernetes or systemd: receivers, workers and a nightly sync.

    They are to begin from: comments say what is yours.
    """,
    "doctor": """Check secret, environment, version, clock, webhooks, inbox, database and disk, and say what to do.

    Nothing is changed. The exit code is 1 if there is a problem.
    """,
    "send": """Send a made-up event, signed with the API secret, to a receiver, and print how it answers.

    The exit code is 0 if it answers 200, else 4.
    """,
}
_GROUPS = {
    "inbox": (
        "Look at what a receiver has stored, and clear up.",
        {
            "counts": "Count deliveries by state.",
            "show": "List deliveries, newest first, never what is in them.",
            "revive": "Let dead deliveries be handled again.",
            "replay": "Let deliveries be handled again that are done and whose bodies were kept, or that are dead.",
            "resend": "Send stored deliveries to a receiver, signed anew, and print how it answers.",
            "body": "Print the stored body of one delivery: payroll data. Who read it is recorded in the inbox.",
            "inspect": "Serve pages that show an inbox to this machine; the URL that is printed logs in once.",
            "check": "Check that the file is whole and its books are right; the exit code is 1 if anything is wrong.",
            "backup": "Copy an inbox as of one moment, also while a receiver runs.",
            "move": "Move an inbox that no receiver has open.",
            "rotate_key": """Encrypt an inbox with another key, also while receivers run that know both.

            The new key is taken from PINWHEEL_INBOX_KEY, the old ones from PINWHEEL_INBOX_OLD_KEYS (several apart by
            spaces). The exit code is 1 if something could not be encrypted anew, so that an old key is still needed.
            """,
            "readings": "List who has read stored bodies, the latest first.",
            "purge": "Forget deliveries for good; one that was forgotten is taken for new if it comes again.",
        },
    ),
    "fleet": (
        "Look at the sync that several processes do together (`sync --fleet`), and stop it.",
        {
            "show": "Show the run that is under way, or else the last one, and what all processes did in it.",
            "watch": """Show the progress of the run that is under way until it is over, and then its report.

            The exit code is 1 if the run was stopped, or something failed.
            """,
            "stop": "Let the run that is under way end early in all processes; what was fetched is stored.",
        },
    ),
    "webhooks": (
        "Keep the subscription of a receiver as it should be.",
        {
            "plan": "Print what apply would do, and change nothing.",
            "apply": "Make, change and delete webhooks until there is the one that is wanted.",
            "check": "Say what is wrong with the webhooks; the exit code is 1 if anything is.",
        },
    ),
}

app = App(
    name="pinwheel-async",
    help=_HELP,
    help_epilogue=_EPILOGUE,
    version=__version__,
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
)
for name, text in _COMMANDS.items():
    app.command(f"pinwheel_async.cli._{name}:{name}", help=text)
for group, (group_text, commands) in _GROUPS.items():
    below = App(name=group, help=group_text)
    for name, text in commands.items():
        below.command(f"pinwheel_async.cli._{group}:{name}", help=text)
    app.command(below)
app.register_install_completion_command(  # pyright: ignore[reportUnknownMemberType]  # its options are untyped
    help="Let bash, zsh or fish complete commands and options."
)


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (CycloptsError, 2),
    (ConfigurationError, 2),
    (RequestError, 2),
    (InvalidRequestError, 2),
    (NotFoundError, 2),
    (UnauthorizedError, 3),
    (ForbiddenError, 3),
    (PinwheelError, 4),
)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code."""
    try:
        code: object = app(list(arguments))
        sys.stdout.flush()
    except (CycloptsError, PinwheelError) as error:
        return _fail(next(code for kind, code in _CODES if isinstance(error, kind)), str(error) + _fields(error))
    except KeyboardInterrupt:
        return _fail(130, "interrupted")
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has closed it. Without the redirection Python would report an error when
        # it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _fields(error: Exception) -> str:
    """Return the end of a sentence about a request that the API refused: the fields that it names.

    Only names that the API documents are shown: whatever else stands there may be a value.
    """
    details = error.details if isinstance(error, InvalidRequestError) else ()
    if not details:
        return ""
    from pinwheel_async import models  # noqa: PLC0415  # only then
    from pinwheel_async.endpoints import ENDPOINTS  # noqa: PLC0415  # only then

    known = {name for row in ENDPOINTS for name in row.query}
    known |= {field.name for name in models.__all__ for field in getattr(getattr(models, name), "__attrs_attrs__", ())}
    found = {detail.name: None for detail in details if detail.name is not None}
    named = [name for name in found if all(part in known or part.isdecimal() for part in name.split("."))]
    return f": see {', '.join(named)}" if named else ""


def _fail(code: int, text: str) -> int:
    print("pinwheel-async:", " ".join(text.split()), file=sys.stderr)
    return code
