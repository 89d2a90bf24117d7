"""Columns of the objects: name and type of a field's column, and the values that no column can hold.

SQL tables and Parquet files ask the same: what a column is called, which type it has, and, of a page that was refused,
where the values are that do not fit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from pinwheel_async._core.derived import StructModel, attribute_names
from pinwheel_async._core.fields import is_object
from pinwheel_async._core.model import Model
from pinwheel_async.models.account import Account
from pinwheel_async.models.allocation import DirectDepositAllocations
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Identity
from pinwheel_async.models.income import Income
from pinwheel_async.models.paystub import Paystub
from pinwheel_async.models.shift import Shift
from pinwheel_async.models.tax_form import TaxFormSummary
from pinwheel_async.sync._sink import Batch, Kind

MODELS: Mapping[Kind, type[Model]] = {
    "accounts": Account,
    "identity": Identity,
    "income": Income,
    "employment": Employment,
    "direct_deposit_allocations": DirectDepositAllocations,
    "paystubs": Paystub,
    "shifts": Shift,
    "tax_forms": TaxFormSummary,
}
"""Every kind of object and its class."""

NAMES = {"from_": "starts_at", "to": "ends_at", "document": "document_id"}
"""Columns that are not called like their field: SQL has words of its own."""

_BEYOND = 2**63
"""The smallest whole number that is too large for a column. SQLite, PostgreSQL and Parquet keep 64 bits, from minus
this number on."""


def single_type(kind: Any) -> Any:
    """Return the only type that a field has beside null; None if it has several. An enum is an open list of texts."""
    members = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    types = {str if get_origin(member) is Literal else member for member in members} - {NoneType}
    return types.pop() if len(types) == 1 else None


def unstorable(batch: Batch[Sequence[Any]]) -> tuple[str, ...]:
    """Return every place that holds what a database cannot keep, such as `data[3].check_amount: beyond 64 bits`.

    Places, never values. For a page that was refused: to look at every value of every page would cost too much.
    """
    found: list[str] = []
    for index, item in enumerate(batch.items):
        if getattr(item, "id", None) is None:
            found.append(f"data[{index}].id: missing")
        try:
            found.extend(places(item, f"data[{index}]", _problem))
        except RecursionError:
            found.append(f"data[{index}]: nested too deeply")
    return tuple(found)


def places(value: Any, place: str, problem_of: Callable[[Any], str | None]) -> Iterator[str]:
    """Yield every place of an object that has a problem, with the problem.

    Args:
        value: The object.
        place: Its own place.
        problem_of: Says what is wrong with a single value.
    """
    if isinstance(value, Model | StructModel):
        for name in attribute_names(type(value)):
            yield from places(getattr(value, name), f"{place}.{name}", problem_of)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from places(inner, f"{place}[{index}]", problem_of)
    elif is_object(value):
        # The keys of free-form objects are data, too: not named.
        for key, inner in value.items():
            yield from places(key, f"{place} (a key)", problem_of)
            yield from places(inner, f"{place} (a value)", problem_of)
    elif problem := problem_of(value):
        yield f"{place}: {problem}"


def _problem(value: object) -> str | None:
    if isinstance(value, int):
        return None if -_BEYOND <= value < _BEYOND else "beyond 64 bits"
    if isinstance(value, datetime):
        try:
            value.astimezone(UTC)
        except OverflowError:
            return "beyond the calendar"
    if isinstance(value, str):
        if "\0" in value:
            return "holds a null character"
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "holds half a character"
    return None
