"""Identity of the owner of an account, with addresses and phone numbers."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model

Country: TypeAlias = Literal["US"]
"""Country code; the documentation knows one value."""

PhoneNumberType: TypeAlias = Literal["home", "work", "mobile"]
"""Kind of a phone number."""


@frozen(kw_only=True, repr=False)
class Address(Model):
    """A postal address, whole and in parts."""

    raw: str
    """Whole address as one string."""
    line1: str | None = None
    """First street line."""
    line2: str | None = None
    """Second street line."""
    city: str | None = None
    """City."""
    state: str | None = None
    """State."""
    postal_code: str | None = None
    """Postal code."""
    country: Country | str | None = None
    """Country code."""


@frozen(kw_only=True, repr=False)
class PhoneNumber(Model):
    """A phone number."""

    value: str
    """The number in E.164 form."""
    type: PhoneNumberType | str | None = None
    """Kind of number; null in identities when seen."""


@frozen(kw_only=True, repr=False)
class Identity(Model):
    """Personal data of the account owner."""

    id: str
    """Id of the identity."""
    created_at: Timestamp
    """When the identity was created."""
    updated_at: Timestamp
    """When the identity last changed."""
    account_id: str
    """Account that the identity belongs to."""
    full_name: str
    """Full name; there are no split names here."""
    emails: tuple[str, ...] | None = None
    """Email addresses; null rather than empty when there are none."""
    date_of_birth: date | None = None
    """Birth date."""
    last_four_ssn: str | None = None
    """Last four digits of the Social Security number."""
    address: Address | None = None
    """Postal address."""
    phone_numbers: tuple[PhoneNumber, ...] | None = None
    """Phone numbers; null rather than empty when there are none."""
