"""Inspector of an inbox: who may see it; `webhook_app` serves it."""

import secrets
from typing import Any

from aiohttp import web

from pinwheel_async._core.arguments import wrong
from pinwheel_async._privacy import Discreet, Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks._inbox.base import Inbox, check_inbox_argument
from pinwheel_async.webhooks._inspector.app import inspector_app
from pinwheel_async.webhooks._inspector.auth import AuthFunction, Guard
from pinwheel_async.webhooks._readiness.readiness import Readiness


class Inspector(Unpicklable, Discreet):
    """Pages on which one sees what a receiver has stored, revives or repeats what failed, and forgets it.

    ```python
    webhook_app(router, secrets=[api_secret], inbox=inbox, inspector=Inspector(auth=token))
    ```

    They are at `<prefix>/inspector/`, and show ids, names, states, moments and the places of errors. The values of
    payloads are masked: who may reveal them has a permission of their own, and each revealing is recorded in the inbox
    and logged by `pinwheel_async.audit`, as is each login and each action.
    """

    @without_locals
    def __init__(
        self, *, auth: str | AuthFunction, reveal: str | None = None, readiness: Readiness | None = None
    ) -> None:
        """Say who may see the inspector.

        Args:
            auth: A token of at least 16 characters, which one gives in a form, or sends as `Authorization: Bearer ...`;
                or an asynchronous function of the request that returns True for who may see the inspector, `"reveal"`
                for who may see the values of payloads, too, and False for all others.
            reveal: Another token, for those who may see the values of payloads, too. Nobody, if not given.
            readiness: The `Readiness` whose router yours includes; the view of accounts then says of each product how
                far it is.

        Raises:
            ConfigurationError: There is no check, a token is too short, or the readiness is something else.
        """
        given: Any = readiness
        if not isinstance(given, Readiness | None):
            raise ConfigurationError(wrong("readiness", "a Readiness, such as Readiness(inbox)", given))
        self._guard = Guard(auth, reveal)
        self._readiness = readiness

    def app(self, inbox: Inbox) -> web.Application:
        """Return the application with the pages, to be mounted somewhere else than below a receiver.

        Args:
            inbox: An inbox that is open while the application runs.

        Raises:
            ConfigurationError: It is no inbox.
        """
        given: Any = inbox
        check_inbox_argument(given, ("entries", "counts", "revive", "purge"))
        return inspector_app(inbox, self._guard, self._readiness)


def one_time_app(inbox: Inbox, readiness: Readiness) -> tuple[web.Application, str]:
    """Return an application for who has started it on this machine, and the token of a URL that logs in once.

    They may reveal values, as they can read the inbox without it. Whoever reads the URL later, in a log or a history,
    can do nothing with it.

    Args:
        inbox: An inbox that is open while the application runs.
        readiness: Tells of the accounts which of their products are there.
    """
    ticket = secrets.token_urlsafe(32)
    guard = Guard(secrets.token_urlsafe(32), secrets.token_urlsafe(32), ticket=ticket)
    return inspector_app(inbox, guard, readiness), ticket
