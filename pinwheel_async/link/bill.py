"""Bills and their switches, in Link v3 and v4. Their fields are taken from a native SDK's type declarations."""

from typing import Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.fields import MinorUnits
from pinwheel_async._core.model import Model
from pinwheel_async.link._base import LinkEvent, link_event
from pinwheel_async.models.job import BillFrequency

CalendarType: TypeAlias = Literal["google", "outlook"]
"""Calendars that Link can write to."""


@frozen(kw_only=True, repr=False)
class LinkBillEvent(LinkEvent):
    """Something about a recurring bill."""

    platform_id: str | None = field(default=None, metadata={"wire": "platformId"})
    """Merchant."""
    platform_name: str | None = field(default=None, metadata={"wire": "platformName"})
    """Name of the merchant."""
    frequency: BillFrequency | str | None = None
    """How often the bill is paid."""
    next_payment_date: str | None = field(default=None, metadata={"wire": "nextPaymentDate"})
    """Expected next payment, as text: its form is (unverified)."""
    amount_cents: MinorUnits | None = field(default=None, metadata={"wire": "amountCents"})
    """Expected next payment, in cents."""
    is_integrated_switch: bool | None = field(default=None, metadata={"wire": "isIntegratedSwitch"})
    """True if Pinwheel acts, false if the user is guided. In switches and cancellations, and in Link v3's
    `bill_removed`."""
    is_guided_switch: bool | None = field(default=None, metadata={"wire": "isGuidedSwitch"})
    """True if the user is guided, false if Pinwheel acts. In Link v2 and v3; null from v4 on."""


@frozen(kw_only=True, repr=False)
class LinkBillSwitchEvent(LinkBillEvent):
    """Something about the switch or the cancellation of a bill."""

    account_id: str | None = field(default=None, metadata={"wire": "accountId"})
    """Account at the merchant. From Link v4 on."""


@link_event("bill_switch_success")
@frozen(kw_only=True, repr=False)
class LinkBillSwitchSuccess(LinkBillSwitchEvent):
    """The means of payment of a bill was switched."""


@link_event("bill_switch_failure")
@frozen(kw_only=True, repr=False)
class LinkBillSwitchFailure(LinkBillSwitchEvent):
    """The means of payment of a bill could not be switched."""


@link_event("bill_cancel_success")
@frozen(kw_only=True, repr=False)
class LinkBillCancelSuccess(LinkBillSwitchEvent):
    """A bill was cancelled."""


@link_event("bill_cancel_failure")
@frozen(kw_only=True, repr=False)
class LinkBillCancelFailure(LinkBillSwitchEvent):
    """A bill could not be cancelled."""


@link_event("bill_added")
@frozen(kw_only=True, repr=False)
class LinkBillAdded(LinkBillEvent):
    """The user added a bill."""


@link_event("bill_edited")
@frozen(kw_only=True, repr=False)
class LinkBillEdited(LinkBillEvent):
    """The user changed a bill."""


@link_event("bill_marked_inactive")
@frozen(kw_only=True, repr=False)
class LinkBillMarkedInactive(LinkBillEvent):
    """The user marked a bill as inactive."""


@link_event("bill_removed")
@frozen(kw_only=True, repr=False)
class LinkBillRemoved(LinkBillEvent):
    """The user removed a bill."""


@frozen(kw_only=True, repr=False)
class LinkPlatform(Model):
    """A merchant."""

    id: str
    """Platform."""
    name: str | None = None
    """Its name."""


@link_event("bill_switch_platforms_added")
@frozen(kw_only=True, repr=False)
class LinkBillSwitchPlatformsAdded(LinkEvent):
    """The user chose merchants whose bills to switch."""

    platforms: tuple[LinkPlatform, ...] = ()
    """The merchants."""


@link_event("bill_switch_platforms_removed")
@frozen(kw_only=True, repr=False)
class LinkBillSwitchPlatformsRemoved(LinkEvent):
    """The user dropped merchants whose bills to switch."""

    platforms: tuple[LinkPlatform, ...] = ()
    """The merchants."""


@link_event("external_account_connected")
@frozen(kw_only=True, repr=False)
class LinkExternalAccountConnected(LinkEvent):
    """The user connected a bank account, in whose transactions bills are found."""

    institution_name: str | None = field(default=None, metadata={"wire": "institutionName"})
    """Name of the bank."""
    account_name: str | None = field(default=None, metadata={"wire": "accountName"})
    """Name of the account."""


@link_event("merchant_login_success")
@frozen(kw_only=True, repr=False)
class LinkMerchantLoginSuccess(LinkEvent):
    """The user logged in at a merchant."""

    account_id: str | None = field(default=None, metadata={"wire": "accountId"})
    """Account at the merchant."""
    platform_id: str | None = field(default=None, metadata={"wire": "platformId"})
    """Merchant."""


@link_event("calendar_sync")
@frozen(kw_only=True, repr=False)
class LinkCalendarSync(LinkEvent):
    """The user wrote bills into a calendar."""

    calendar_type: CalendarType | str | None = field(default=None, metadata={"wire": "calendarType"})
    """The calendar."""


@link_event("customer_terms_accepted")
@frozen(kw_only=True, repr=False)
class LinkCustomerTermsAccepted(LinkEvent):
    """The user accepted your terms."""


@link_event("user_activated")
@frozen(kw_only=True, repr=False)
class LinkUserActivated(LinkEvent):
    """The user began to use a solution."""

    solution_name: str | None = field(default=None, metadata={"wire": "solutionName"})
    """The solution."""
