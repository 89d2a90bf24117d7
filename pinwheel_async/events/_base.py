"""Base classes of the events, and the registry of events by name."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from pinwheel_async._core.fields import Timestamp, Year, attributes, is_object
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import DocumentType
from pinwheel_async.models.job import JobOutcome
from pinwheel_async.products import Product

JobName: TypeAlias = Literal[
    "direct_deposit_switch",
    "direct_deposit_allocations",
    "direct_deposit_payment",
    "employment",
    "identity",
    "income",
    "paystubs",
    "shifts",
    "tax_forms",
    "bill_switch",
    "bill_cancellation",
    "paycheck_viewer",
    "document_uploads",
    "payout_cards",
    "card_switch",
]
"""Names of jobs in events: those of `JobType`, and three that only events have."""

JobErrorType: TypeAlias = Literal[
    "invalidAccountsConfiguration",
    "invalidUserInput",
    "platformError",
    "systemError",
    "userActionRequired",
]
"""Broad class of a job's error."""


@frozen(kw_only=True, repr=False)
class Event(Model):
    """One event, as a webhook delivery brings it: the base of all events. A handler of this class gets every event.

    Deliveries come at least once and in no promised order; `event_id` is the same in every repetition.
    """

    NAME: ClassVar[str] = ""
    """Name of the event on the wire; empty for a base class."""
    PRODUCTS: ClassVar[tuple[Product, ...]] = ()
    """The products of the account that the event says something new about: what to fetch when it comes."""
    JOB: ClassVar[JobName | None] = None
    """Name of the job that ends with this event; null for what is no job's end."""

    event_id: str = ""
    """Unique per event; repetitions have the same. Empty before 2021-04-29, which had none."""
    event: str = ""
    """Name of the event as it was sent; for an event under a name that guides misspell, not the one in `NAME`."""

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object of a delivery: event id, name and payload."""
        envelope = {"event_id": fields.pop("event_id", ""), "event": fields.pop("event", "") or self.NAME}
        extra = fields.pop("extra", {})
        return {**envelope, "payload": {**fields, **extra}}

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "tuple[type[Event], Any, str] | str":
        event_id, name, payload = document.get("event_id") or "", document.get("event"), document.get("payload")
        if not isinstance(name, str):
            return "an event without its name"
        kind: Any = class_of(name) or UnknownEvent
        if not issubclass(kind, cls):
            return f"not an event of the class {cls.__name__}"
        if kind is UnknownEvent:
            return kind, {"event_id": event_id, "event": name, "payload": payload}, ""
        if is_object(payload):
            said, documented = payload, documented_keys(kind)
            payload = {**said, "event_id": event_id, "event": name}
            if documented is not None:
                payload["extra"] = {key: value for key, value in said.items() if key not in documented}
        return kind, payload, "payload"


@frozen(kw_only=True, repr=False)
class UnknownEvent(Event):
    """An event that this version of the library does not know; the API adds events without notice."""

    payload: Mapping[str, Any] = field(factory=dict[str, Any])
    """What the event says, as plain JSON values."""

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        return fields


@frozen(kw_only=True, repr=False)
class AccountEvent(Event):
    """Something happened to one account. A handler of this class gets the events of all jobs on accounts, too."""

    account_id: str
    """Account that the event is about; the main identifier of a connection."""
    end_user_id: str | None = None
    """Your own user id, without whitespace at the ends; null if the Link token named none."""
    customer_id: str | None = None
    """Customer that the banking platform named when it made the Link token; banking platforms only."""
    reseller_customer_id: str | None = None
    """Customer of a reseller; resellers only. Which events have it is (unverified)."""
    tags: Mapping[str, Any] | None = None
    """Tags of the Link token. Which events have them is (unverified)."""


@frozen(kw_only=True, repr=False)
class EndUserEvent(Event):
    """Something that concerns an end user, and no single account."""

    end_user_id: str
    """Your own user id, without whitespace at the ends."""
    customer_id: str | None = None
    """Customer that the banking platform named when it made the Link token; banking platforms only."""
    reseller_customer_id: str | None = None
    """Customer of a reseller; resellers only. Which events have it is (unverified)."""
    tags: Mapping[str, Any] | None = None
    """Tags of the Link token. Which events have them is (unverified)."""


@frozen(kw_only=True, repr=False)
class JobEvent(AccountEvent):
    """A job on an account ended, or will be tried again.

    The event comes for failures as well: look at `outcome`. A job whose first try failed may be announced as pending;
    within 24 hours it is announced once more, as a new event of the same name, as success or error. A refresh, long
    after the Link session, may bring the same event with another success at any time.
    """

    name: JobName | str
    """Name of the job; not always the first word of the event's name."""
    timestamp: Timestamp
    """When the job ended."""
    outcome: JobOutcome | str
    """How the job ended, or that it is pending."""
    id: str | None = None
    """Id of the job; every batch has its own. Not meant to identify anything: use `account_id`."""
    error_code: str | None = None
    """Specific error, stable for programs; an open list. Null on success."""
    error_type: JobErrorType | str | None = None
    """Broad class of the error. Null on success."""
    link_token_id: str | None = None
    """Link token of the session; null, or an id you do not know, when a refresh caused the event."""
    platform_id: str | None = None
    """Platform or merchant of the account; older webhooks have it in `account.added` only."""
    platform_name: str | None = None
    """Name of the platform or merchant; older webhooks have it in `account.added` only."""

    @property
    def succeeded(self) -> bool:
        """Whether there is something new to fetch; false for errors and for what is pending."""
        return self.outcome == "success"


@frozen(kw_only=True, repr=False)
class Changed(Model):
    """A record that a job added or deleted."""

    id: str
    """Id of the record, to fetch it by."""
    document_type: DocumentType | str | None = None
    """Kind of document; null for plain paystubs and shifts."""
    year: Year | None = None
    """Tax year; null where it has no meaning."""
    pay_date: date | None = None
    """Day the pay arrived; null in everything that was seen of paystubs and shifts."""


E = TypeVar("E", bound=Event)

_ENVELOPE = frozenset({"event_id", "event", "extra"})
"""Fields that do not come from the payload."""

_BY_NAME: dict[str, type[Event]] = {}

EVENTS: Mapping[str, type[Event]] = MappingProxyType(_BY_NAME)
"""Every event that the library knows, by its name on the wire."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "accounts.added": "account.added",
        "company_connection.census.added": "company_connect.census.added",
        "company_connection.employments.added": "company_connect.employments.added",
        "company_connection.incomes.added": "company_connect.incomes.added",
    }
)
"""Names that the API's guides use for events, and what the API calls them."""


def event(name: str) -> Callable[[type[E]], type[E]]:
    """Register a class under the name of its event. Stands above `@frozen`, which makes the class that is kept.

    Args:
        name: Name of the event on the wire; no two classes may have the same.
    """

    def register(kind: type[E]) -> type[E]:
        if name in _BY_NAME:
            raise TypeError(f"{name} is already the event of {_BY_NAME[name].__name__}")
        kind.NAME = name
        _BY_NAME[name] = kind
        return kind

    return register


def class_of(name: str) -> type[Event] | None:
    """Return the class of an event by its name, or by a name that guides use for it; None if it is not known."""
    return _BY_NAME.get(name) or _BY_NAME.get(ALIASES.get(name, ""))


@cache
def documented_keys(kind: Any) -> frozenset[str] | None:
    """Return the keys that the payload of an event is documented to have; None if that is all of them."""
    names = frozenset(attribute.name for attribute in attributes(kind))
    return names - _ENVELOPE if "extra" in names else None
