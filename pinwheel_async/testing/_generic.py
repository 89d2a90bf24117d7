"""Generic factory of models: values made up from field types and names alone, so that it makes new models, too."""

import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs

from pinwheel_async._core.model import Model
from pinwheel_async.testing._world.ids import Ids

M = TypeVar("M", bound=Model)

_MOMENT = datetime(2026, 3, 17, 15, 5, 2, 118402, tzinfo=UTC)
_DIGITS: Mapping[str, int] = {
    "social_security_number": 9,
    "routing_number": 9,
    "account_number": 10,
    "mobile_phone_number": 10,
    "card_number": 16,
    "cvc": 3,
    "masked_account_number": 4,
}
_TEXTS: Mapping[str, str] = {
    "end_user_id": "end_user_000001",
    "full_name": "Testina Example",
    "first_name": "Testina",
    "middle_name": "",
    "last_name": "Example",
    "name": "Testina Example",
    "employer_name": "Fictional Foods",
    "company_name": "Fictional Foods",
    "org_name": "Fictional App",
    "workspace_name": "Fictional Workspace",
    "username": "testina@example.com",
    "email": "testina@example.com",
    "emails": "testina@example.com",
    "value": "+12025550100",
    "timezone": "America/Phoenix",
    "city": "Faketown",
    "postal_code": "00010",
    "year": "2025",
    "tax_year": "2025",
    "version": "2025-07-08",
}
_TEXT_PARTS: Mapping[str, str] = {
    "url": "https://www.example.com/fictional",
    "last_four": "0000",
    "zip": "00010",
    "date": "2026-03-13",
}
_INTEGERS: Mapping[str, int] = {
    "priority": 1,
    "year": 2025,
    "min_percentage": 1,
    "max_percentage": 99,
    "status_code": 400,
    "employment_duration_months": 24,
}


def make_generic(kind: type[M], seed: int = 0, **overrides: Any) -> M:
    """Make a model: every field filled by its name and type, except that a request's optional fields stay at default.

    Args:
        kind: Class of the model.
        seed: Another seed gives other values; the same gives the same.
        overrides: Values of fields, instead of made-up ones.
    """
    hints = get_type_hints(kind, include_extras=True)
    rng = Ids(seed).random(kind.__name__)
    given = dict(overrides)
    for attribute in attrs.fields(cast("Any", kind)):
        optional = attribute.default is not attrs.NOTHING and kind.__name__.endswith("Request")
        if attribute.init and attribute.name not in given and not optional:
            given[attribute.name] = _value(hints[attribute.name], attribute.name, rng, seed)
    return kind(**given)


def _value(kind: Any, name: str, rng: Random, seed: int) -> Any:
    while isinstance(kind, NewType) or get_origin(kind) is Annotated:
        kind = kind.__supertype__ if isinstance(kind, NewType) else get_args(kind)[0]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _of_union(arguments, name, rng, seed)
    if origin is Literal:
        return rng.choice(arguments)
    if origin is tuple:
        return (_value(arguments[0], name, rng, seed),)
    if isinstance(kind, type) and issubclass(kind, Model):
        return make_generic(kind, seed)
    return _PLAIN.get(kind, _none)(name, rng)


def _of_union(members: tuple[Any, ...], name: str, rng: Random, seed: int) -> Any:
    """Choose the member that says most; None if there are several classes, between which nothing decides here."""
    several = sum(isinstance(member, type) and issubclass(member, Model) for member in members) > 1
    if several and types.NoneType in members:
        return None
    members = tuple(member for member in members if member is not types.NoneType)
    literal = [member for member in members if get_origin(member) is Literal]
    return _value((literal or list(members))[0], name, rng, seed)


def _text(name: str, rng: Random) -> str:
    if name in _TEXTS:
        return _TEXTS[name]
    if name in _DIGITS:
        return "0" * _DIGITS[name]
    if name == "id" or name.endswith("_id"):
        return Ids(rng.randrange(1 << 30)).make(name)
    found = [text for part, text in _TEXT_PARTS.items() if part in name]
    return found[0] if found else f"Example {name.replace('_', ' ')}"


def _integer(name: str, rng: Random) -> int:
    return _INTEGERS.get(name) or rng.randrange(100, 100_000)


def _moment(_: str, rng: Random) -> datetime:
    return _MOMENT - timedelta(seconds=rng.randrange(1_000_000))


def _day(_: str, rng: Random) -> date:
    return _MOMENT.date() - timedelta(days=rng.randrange(300))


def _none(_: str, __: Random) -> None:
    return None


_PLAIN: Mapping[Any, Callable[[str, Random], Any]] = {
    str: _text,
    bool: lambda _, rng: rng.random() < 0.5,
    int: _integer,
    float: lambda _, rng: rng.randrange(1, 100) / 2,
    Decimal: lambda _, rng: Decimal(rng.randrange(100, 100_000)) / 100,
    datetime: _moment,
    date: _day,
}
