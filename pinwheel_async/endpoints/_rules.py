"""The words that the checks before a request are written in: each yields a sentence for what the server would refuse.

A sentence names the argument and the cure, never the value. Arguments are taken as `object`, because what a type
checker would have found is found here, too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pinwheel_async.errors import RequestError


def refuse(problems: Iterable[str]) -> None:
    """Raise one error for all problems, if there are any.

    Raises:
        RequestError: There is at least one problem.
    """
    found = tuple(problems)
    if found:
        raise RequestError(found)


def text(path: str, value: object, least: int, most: int) -> Iterator[str]:
    """Expect text of a length."""
    if not isinstance(value, str) or not least <= len(value) <= most:
        yield f"{path} must be text of {least} to {most} characters"


def digits(path: str, value: object, least: int, most: int | None) -> Iterator[str]:
    """Expect text of *least* to *most* digits; of any number from *least* on where *most* is None."""
    if isinstance(value, str) and re.fullmatch(rf"[0-9]{{{least},{most or ''}}}", value):
        return
    count = f"at least {least}" if most is None else f"{least}" if most == least else f"{least} to {most}"
    yield f"{path} must be text of {count} digits, without blanks or dashes"


def text_map(path: str, value: Mapping[Any, Any] | None) -> Iterator[str]:
    """Expect text under names, or None."""
    if value is not None and not all(isinstance(one, str) for pair in value.items() for one in pair):
        yield f"{path} must map text to text"


def several(path: str, value: object) -> Iterator[str]:
    """Expect a list where one text would be taken apart into its letters."""
    if isinstance(value, str):
        yield f"{path} must be a list, such as [value], even for one value"


def is_amount(value: object) -> bool:
    """Whether it is an amount of money that JSON can carry without loss."""
    return isinstance(value, Decimal) and value.is_finite()


def dollars(path: str, value: object) -> Iterator[str]:
    """Expect an exact amount, or None."""
    if value is not None and not is_amount(value):
        yield f"{path} must be a finite Decimal, in dollars"


def https(path: str, value: object) -> Iterator[str]:
    """Expect an https URL."""
    if not isinstance(value, str) or not re.match(r"https://[^/?#\s]", value, re.IGNORECASE):
        yield f"{path} must be a URL that starts with https://"


def aware(path: str, value: datetime | None) -> Iterator[str]:
    """Expect a moment with an offset, or None."""
    if value is not None and value.utcoffset() is None:
        yield f"{path} must be an aware datetime, such as datetime.now(UTC)"
