"""Names of products, as a caller gives them."""

from enum import StrEnum
from typing import Any

import pytest

from pinwheel_async.products import PRODUCTS, read_products


class Wanted(StrEnum):
    INCOME = "income"


def problems_of(products: object) -> list[str]:
    problems: list[str] = []
    read_products(products, problems)
    return problems


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(
    "mistake", [str.upper, lambda name: name[:-2], lambda name: f"{name}s", lambda name: f" {name}"]
)
def test_misspelt(product: str, mistake: Any):
    """A name that is nearly a product is shown with its place, and with the product that was probably meant."""
    (problem,) = problems_of(["tax_forms", mistake(product)])

    assert problem.startswith("products[1] must be one of identity, income")
    assert problem.endswith(f", not {mistake(product)}; did you mean {product}?")


@pytest.mark.parametrize("secret", ["sk_live_abcdef", "123-45-6789", "x" * 1_000, 5, None, b"income", ["income"]])
def test_something_else(secret: object):
    """What resembles no product is named by its place and its type, and not shown."""
    (problem,) = problems_of([secret])

    assert problem.startswith("products[0] must be one of identity")
    if isinstance(secret, str):
        assert secret not in problem
    else:
        assert problem.endswith(f"tax_forms, not {type(secret).__name__}")


@pytest.mark.parametrize("products", ["income", "incom", 5, None])
def test_no_list(products: object):
    """One text, or what holds nothing, is told apart from several products."""
    (problem,) = problems_of(products)

    assert (
        problem
        == f'products must be several products, such as ("income",), even for one, not {type(products).__name__}'
    )


def test_members_of_an_enum():
    """A member of an enum of texts counts as its text, and a repetition as nothing."""
    assert read_products(iter([Wanted.INCOME, "shifts", "income"]), []) == ("income", "shifts")
