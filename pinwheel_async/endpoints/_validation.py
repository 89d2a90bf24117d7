"""Validation of arguments before a request: each check yields a sentence for what the server would refuse.

A sentence names the argument and the cure, never the value. A value of the wrong type is no business of these checks:
`request` has named it already.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from pinwheel_async._core.arguments import build, wrong
from pinwheel_async._core.model import Model
from pinwheel_async.errors import RequestError

M = TypeVar("M", bound=Model)


def request(
    kind: type[M], fields: Mapping[str, object], check: Callable[[M], Iterator[str]] | None = None
) -> M | RequestError:
    """Build the body of a request, or the one error that names all that is wrong with it.

    The error is returned, not raised, since the frames on its way would hold what was given.
    """
    problems: list[str] = []
    built = build(kind, fields, problems)
    if check is not None:
        # A field that could not be read is None in what was built: that it were missing is no second problem.
        named = {name for problem in problems for name in (problem.split()[0], problem.split()[0].partition("[")[0])}
        problems += [problem for problem in check(built) if problem.split()[0] not in named]
    return RequestError(problems) if problems else built


def refuse(problems: Iterable[str]) -> None:
    """Raise one error for all problems, if there are any.

    Raises:
        RequestError: There is at least one problem.
    """
    found = tuple(problems)
    if found:
        raise RequestError(found)


def given(path: str, value: object) -> Iterator[str]:
    """Expect a value: None would be left out."""
    if value is None:
        yield wrong(path, "text", value)


def text(path: str, value: str | None, least: int, most: int) -> Iterator[str]:
    """Expect text of a length."""
    if value is not None and not least <= len(value) <= most:
        yield f"{path} must be text of {least} to {most} characters"


def digits(path: str, value: object, least: int, most: int | None) -> Iterator[str]:
    """Expect text of *least* to *most* digits; of any number from *least* on where *most* is None."""
    if value is None or (isinstance(value, str) and re.fullmatch(rf"[0-9]{{{least},{most or ''}}}", value)):
        return
    count = f"at least {least}" if most is None else f"{least}" if most == least else f"{least} to {most}"
    yield wrong(path, f"text of {count} digits, without blanks or dashes", value, str)


def https(path: str, value: str | None) -> Iterator[str]:
    """Expect an https URL."""
    if value is not None and not re.match(r"https://[^/?#\s]", value, re.IGNORECASE):
        yield f"{path} must be a URL that starts with https://"
