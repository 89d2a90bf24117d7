"""Inspector of an inbox: who may see it; `webhook_app` serves it."""

import secrets
from typing import Any

from aiohttp import web

from pinwheel_async._privacy import Discreet, Unpicklable, without_locals
from pinwheel_async.webhooks._inbox.base import Inbox, check_inbox_argument
from pinwheel_async.webhooks._inspector.app import inspector_app
from pinwheel_async.webhooks._inspector.auth import AuthFunction, Guard


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
    def __init__(self, *, auth: str | AuthFunction, reveal: str | None = None) -> None:
        """Say who may see the inspector.

        Args:
            auth: A token of at least 16 characters, which one gives in a form, or sends as `Authorization: Bearer ...`;
                or an asynchronous function of the request that returns True for who may see the inspector, `"reveal"`
                for who may see the values of payloads, too, and False for all others.
            reveal: Another token, for those who may see the values of payloads, too. Nobody, if not given.

        Raises:
            ConfigurationError: There is no check, or a token is too short.
        """
        self._guard = Guard(auth, reveal)

    def app(self, inbox: Inbox) -> web.Application:
        """Return the application with the pages, to be mounted somewhere else than below a receiver.

        Args:
            inbox: An inbox that is open while the application runs.

        Raises:
            ConfigurationError: It is no inbox.
        """
        given: Any = inbox
        check_inbox_argument(given, ("entries", "counts", "revive", "purge"))
        return inspector_app(inbox, self._guard)


def one_time_app(inbox: Inbox) -> tuple[web.Application, str]:
    """Return an application for who has started it on this machine, and the token of a URL that logs in once.

    They may reveal values, as they can read the inbox without it. Whoever reads the URL later, in a log or a history,
    can do nothing with it.

    Args:
        inbox: An inbox that is open while the application runs.
    """
    ticket = secrets.token_urlsafe(32)
    return inspector_app(inbox, Guard(secrets.token_urlsafe(32), secrets.token_urlsafe(32), ticket=ticket)), ticket
