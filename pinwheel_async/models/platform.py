"""Platforms that users can connect: payroll, time and attendance, tax, merchant."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import CompanyJobType, JobType, PlatformType

MerchantCategory: TypeAlias = Literal[
    "automotive",
    "buy_now_pay_later",
    "charity_and_donations",
    "education",
    "entertainment_and_recreation",
    "financial_services",
    "fitness",
    "food_and_delivery",
    "gaming",
    "health_and_wellness",
    "home_and_household_services",
    "insurance",
    "internet_and_telecom",
    "loan",
    "media",
    "music_and_audio_streaming",
    "news",
    "other",
    "productivity_and_saas_tools",
    "professional_services",
    "rent",
    "shopping_and_retail",
    "social_and_dating",
    "sports",
    "travel_and_transportation",
    "utilities",
    "video_streaming",
]
"""Business category of a merchant platform."""


@frozen(kw_only=True, repr=False)
class Platform(Model):
    """A payroll, time and attendance, tax or merchant platform."""

    id: str
    """Id of the platform."""
    name: str
    """Name of the platform."""
    type: PlatformType | str
    """Kind of platform."""
    fractional_amount_supported: bool
    """Whether a deposit switch may have amounts with decimals."""
    last_updated: Timestamp
    """When the platform last changed."""
    percentage_supported: bool
    """Whether a deposit switch may have a percentage."""
    min_percentage: int
    """Smallest percentage of a deposit switch; above 0, below 100."""
    max_percentage: int
    """Largest percentage of a deposit switch; above 0, below 100."""
    supported_jobs: tuple[JobType | CompanyJobType | str, ...]
    """Jobs that the platform can do."""
    amount_supported: bool
    """Whether a deposit switch may have a fixed amount."""
    min_amount: Decimal | None = None
    """Smallest amount of a deposit switch, in dollars (unverified)."""
    max_amount: Decimal | None = None
    """Largest amount of a deposit switch, in dollars (unverified)."""
    logo_url: str | None = None
    """URL of the logo."""
    merchant_category: MerchantCategory | str | None = None
    """Business category of a merchant platform. New in 2025-07-08."""
