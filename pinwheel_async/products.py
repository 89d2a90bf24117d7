"""Products: the kinds of data that an account can have."""

from collections.abc import Iterable
from typing import Any, Literal

from pinwheel_async._core.arguments import meant, text_of, wrong

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


def read_products(products: object, problems: list[str]) -> tuple[Product, ...]:
    """Return the products that a caller names, without repetitions, after noting in *problems* what is wrong with them.

    Text that is nearly a product is shown, and with it the product that was probably meant; nothing else is.
    """
    if isinstance(products, str) or not isinstance(products, Iterable):
        problems.append(wrong("products", 'several products, such as ("income",), even for one', products))
        return ()
    known: dict[str, Product] = {name: name for name in PRODUCTS}
    found: dict[Product, None] = {}
    given: list[Any] = [*products]
    for index, product in enumerate(given):
        text = text_of(product) or ""
        if text in known:
            found[known[text]] = None
        elif hint := meant(text, PRODUCTS):
            problems.append(f"products[{index}] must be one of {', '.join(PRODUCTS)}, not {text}{hint}")
        else:
            problems.append(wrong(f"products[{index}]", f"one of {', '.join(PRODUCTS)}", product, str))
    if not given:
        problems.append(f"products must be some of {', '.join(PRODUCTS)}")
    return tuple(found)
