"""Session events: opened, searched, logged in, succeeded or failed, closed."""

from typing import Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.model import Model
from pinwheel_async.link._base import LinkEvent, link_event
from pinwheel_async.link.deposit import LinkAllocation, LinkAmount
from pinwheel_async.models.job import SwitchAction

Screen: TypeAlias = Literal[
    "SEARCH_DEFAULT",
    "SEARCH_RESULTS",
    "SEARCH_PLATFORM_ONLY",
    "PROVIDER_CONFIRMATION",
    "LOGIN",
    "DD_AMOUNT_SELECTION",
    "DD_CONFIRMATION",
    "JOB_SUCCESS",
    "JOB_ERROR",
    "EXIT_CONFIRMATION",
]
"""Screens of Link."""

LinkJob: TypeAlias = Literal["login", "direct_deposit_switch", "card_switch"]
"""What succeeded in Link."""

LinkErrorType: TypeAlias = Literal[
    "sandboxError",
    "clientError",
    "systemError",
    "userActionRequired",
    "platformError",
    "invalidAccountsConfiguration",
    "invalidUserInput",
    "invalidLinkToken",
    "networkError",
]
"""Broad class of an error in Link."""

LinkErrorCode: TypeAlias = Literal[
    "networkError",
    "clientError",
    "connectionRateLimited",
    "usedLinkToken",
    "invalidLinkTokenSignature",
    "changesTemporarilyDisabled",
    "maxAccounts",
    "invalidCredentials",
    "challengeAnswerIncorrect",
    "systemError",
    "accountLocked",
    "changePasswordRequired",
    "accountNotActive",
]
"""Specific errors in Link; the first five are Link's own, the others those of jobs."""

OtherValueType: TypeAlias = Literal["string", "boolean", "number"]
"""What the text of a value stands for."""


@link_event("open")
@frozen(kw_only=True, repr=False)
class LinkOpen(LinkEvent):
    """Link was opened."""


@link_event("select_employer")
@frozen(kw_only=True, repr=False)
class LinkSelectEmployer(LinkEvent):
    """The user chose an employer. Does not come in an On Demand Update."""

    selected_employer_id: str = field(metadata={"wire": "selectedEmployerId"})
    selected_employer_name: str = field(metadata={"wire": "selectedEmployerName"})


@link_event("select_platform")
@frozen(kw_only=True, repr=False)
class LinkSelectPlatform(LinkEvent):
    """The user chose a platform. Does not come in an On Demand Update."""

    selected_platform_id: str = field(metadata={"wire": "selectedPlatformId"})
    selected_platform_name: str = field(metadata={"wire": "selectedPlatformName"})


@link_event("incorrect_platform_given")
@frozen(kw_only=True, repr=False)
class LinkIncorrectPlatformGiven(LinkEvent):
    """The user said that the platform is the wrong one. Does not come in an On Demand Update."""


@link_event("login_attempt")
@frozen(kw_only=True, repr=False)
class LinkLoginAttempt(LinkEvent):
    """The user sent credentials for the first time. In an On Demand Update only where input was needed."""

    platform_id: str = field(metadata={"wire": "platformId"})
    """Platform that the user logs in to."""


@link_event("login")
@frozen(kw_only=True, repr=False)
class LinkLogin(LinkEvent):
    """The user logged in: the moment of the webhook event `account.added`."""

    account_id: str = field(metadata={"wire": "accountId"})
    """Account; `account_id` of webhook events."""
    platform_id: str = field(metadata={"wire": "platformId"})
    """Platform of the account."""


@link_event("input_required")
@frozen(kw_only=True, repr=False)
class LinkInputRequired(LinkEvent):
    """The user has to put something in. Only some native SDKs send it; whatever comes with it is in `extra`."""


@link_event("screen_transition")
@frozen(kw_only=True, repr=False)
class LinkScreenTransition(LinkEvent):
    """Link shows another screen. `LOGIN` comes with the employer and platform that were chosen."""

    screen_name: Screen | str = field(metadata={"wire": "screenName"})
    """The new screen. Documented as `screen_name`, sent as `screenName`; both are read."""
    selected_employer_id: str | None = field(default=None, metadata={"wire": "selectedEmployerId"})
    selected_employer_name: str | None = field(default=None, metadata={"wire": "selectedEmployerName"})
    selected_platform_id: str | None = field(default=None, metadata={"wire": "selectedPlatformId"})
    selected_platform_name: str | None = field(default=None, metadata={"wire": "selectedPlatformName"})


@frozen(kw_only=True, repr=False)
class LinkResultParams(Model):
    """What the user asked for in a switch."""

    action: SwitchAction | str | None = None
    """Whether all of the pay moves or a part. From Link v3 on."""
    allocation: LinkAllocation | None = None
    """The share that moves. From Link v3 on."""
    amount: LinkAmount | None = None
    """The share that moves, as Link v2 said it. Deprecated."""


@link_event("success")
@frozen(kw_only=True, repr=False)
class LinkResult(LinkEvent):
    """Something succeeded: what `onSuccess` is called with, and the payload of the event `success`.

    For direct deposit and card jobs it comes once per finished job. For jobs that only read it comes right after the
    login, since those run in the background: that the data is there is said by webhooks.
    """

    account_id: str = field(metadata={"wire": "accountId"})
    """Account; `account_id` of webhook events."""
    platform_id: str = field(metadata={"wire": "platformId"})
    """Platform of the account."""
    job: LinkJob | str
    """What succeeded."""
    params: LinkResultParams | None = None
    """What the user asked for; null for `login`."""


@link_event("error")
@frozen(kw_only=True, repr=False)
class LinkErrorReport(LinkEvent):
    """Link met an error: what `onError` is called with, and the payload of the event `error`. A value, no exception.

    The session may go on all the same.
    """

    type: LinkErrorType | str
    """Broad class of the error."""
    code: LinkErrorCode | str
    """Specific error, for programs; an open list."""
    message: str
    """Text that the user was shown; it changes without notice."""
    pending_retry: bool | None = field(default=None, metadata={"wire": "pendingRetry"})
    """Whether the job will be tried again without the user, within 24 hours: then a webhook event says `pending`, and
    another one how it ended. Null before Link v2.3."""


@link_event("exit")
@frozen(kw_only=True, repr=False)
class LinkExit(LinkEvent):
    """Link was closed: by the user, and then every field is null, or by an error."""

    type: LinkErrorType | str | None = None
    """Broad class of the error."""
    code: LinkErrorCode | str | None = None
    """Specific error, for programs; an open list."""
    message: str | None = None
    """Text that the user was shown; it changes without notice."""
    pending_retry: bool | None = field(default=None, metadata={"wire": "pendingRetry"})
    """Whether the job will be tried again without the user, within 24 hours."""


@frozen(kw_only=True, repr=False)
class LinkOtherValue(Model):
    """One value of an `other_event`."""

    key: str
    """Its name."""
    value: str | None = None
    """The value, always as text."""
    type: OtherValueType | str | None = None
    """What the text stands for."""


@link_event("other_event")
@frozen(kw_only=True, repr=False)
class LinkOtherEvent(LinkEvent):
    """Something that has no event of its own, such as `screen_transition_expanded` or `input_submit`."""

    name: str
    """What happened; an open list."""
    payload: tuple[LinkOtherValue, ...] = ()
    """Its values."""
