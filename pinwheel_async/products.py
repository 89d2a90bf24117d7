"""The kinds of data that an account can have."""

from typing import Literal

Product = Literal["identity", "income", "employment", "direct_deposit_allocations", "paystubs", "shifts", "tax_forms"]
"""One kind of data of an account, named as the attribute of the client that reads it."""

PRODUCTS: tuple[Product, ...] = (
    "identity",
    "income",
    "employment",
    "direct_deposit_allocations",
    "paystubs",
    "shifts",
    "tax_forms",
)
"""All of them; the last three are lists."""
