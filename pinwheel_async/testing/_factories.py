"""Factories of models for tests: made up, valid, the same for the same seed, and obviously fictional.

The kinds that users meet most are made as `FakePinwheel` makes them, so their amounts add up; every other model is
filled from its field types and names.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast, overload

import attrs
import msgspec

from pinwheel_async import events, models
from pinwheel_async._core.arguments import meant
from pinwheel_async._core.convert import Shape, decode
from pinwheel_async._core.model import Model
from pinwheel_async.events import EVENTS, Event
from pinwheel_async.models.account import Account
from pinwheel_async.models.allocation import DirectDepositAllocations
from pinwheel_async.models.employer import Employer
from pinwheel_async.models.employment import Employment
from pinwheel_async.models.identity import Address, Identity
from pinwheel_async.models.income import Income
from pinwheel_async.models.job import Job
from pinwheel_async.models.link_token import LinkTokenRequest
from pinwheel_async.models.paystub import Paystub
from pinwheel_async.models.platform import Platform
from pinwheel_async.models.shift import Shift
from pinwheel_async.models.tax_form import TaxForm, TaxFormW2
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.testing._generic import make_generic
from pinwheel_async.testing._webhooks.make_event import make_event
from pinwheel_async.testing._world import directory as _directory, pay as _pay, people as _people, reports as _reports
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.people import Change, Profile
from pinwheel_async.testing._world.records import Record

M = TypeVar("M", bound=Model)

_DOCUMENT = {
    "id": _pay.NIL_ID,
    "download_url": "https://documents.example.com/fictional.pdf?signature=fictional",
    "download_url_expiration": "2026-03-17T15:20:02.118402+00:00",
}
_NOTHING_CHANGED = Change()


@overload
def make(kind: type[M], seed: int = 0, **overrides: Any) -> M: ...
@overload
def make(kind: str, seed: int = 0, **overrides: Any) -> Any: ...
def make(kind: type[Model] | str, seed: int = 0, **overrides: Any) -> Any:
    """Make a model of any class; an event, as `make_event` does.

    Args:
        kind: The class, or its name: that of a class of `models` or `events`, such as `Paystub`, or that of an event,
            such as `paystubs.added`.
        seed: Another seed gives another person; the same seed gives the same, also across classes, so that
            `make(Paystub, 3)` and `make(Income, 3)` belong to one account.
        overrides: Values of fields, instead of made-up ones; they are not checked.

    Raises:
        ValueError: There is no model or event of this name.
    """
    if isinstance(kind, str):
        kind = _class_named(kind)
    if issubclass(kind, Event):
        return make_event(kind, seed, **overrides)
    recipe = _RECIPES.get(kind)
    if recipe is None:
        return make_generic(kind, seed, **_REQUESTS.get(kind, {}) | overrides)
    ids = Ids(seed)
    profile = attrs.evolve(_people.make_profile(ids, 0), paystubs=4, shifts=2, tax_forms=1)
    made: Any = _decoded(kind, recipe(profile, ids))
    return attrs.evolve(made, **overrides)


def _class_named(name: str) -> type[Model]:
    named = {**_classes(models), **_classes(events), **EVENTS}
    if name not in named:
        raise ValueError(f"there is no model or event {name}{meant(name, named)}")
    return named[name]


def _classes(module: ModuleType) -> dict[str, type[Model]]:
    found = {name: getattr(module, name) for name in module.__all__}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Model)}


def make_account(seed: int = 0, **overrides: Any) -> Account:
    """Make an account; see `make`."""
    return make(Account, seed, **overrides)


def make_identity(seed: int = 0, **overrides: Any) -> Identity:
    """Make an identity; see `make`."""
    return make(Identity, seed, **overrides)


def make_employment(seed: int = 0, **overrides: Any) -> Employment:
    """Make an employment; see `make`."""
    return make(Employment, seed, **overrides)


def make_income(seed: int = 0, **overrides: Any) -> Income:
    """Make an income; see `make`."""
    return make(Income, seed, **overrides)


def make_direct_deposit_allocations(seed: int = 0, **overrides: Any) -> DirectDepositAllocations:
    """Make a direct deposit setup; see `make`."""
    return make(DirectDepositAllocations, seed, **overrides)


def make_paystub(seed: int = 0, **overrides: Any) -> Paystub:
    """Make a paystub whose lines add up to its totals; see `make`."""
    return make(Paystub, seed, **overrides)


def make_shift(seed: int = 0, **overrides: Any) -> Shift:
    """Make a shift; see `make`."""
    return make(Shift, seed, **overrides)


def make_tax_form(seed: int = 0, **overrides: Any) -> TaxForm:
    """Make a tax form with its document; see `make`."""
    return make(TaxForm, seed, **overrides)


def _decoded(kind: type[M], record: Record) -> M:
    if record.get("document"):
        record = record | {"document": _DOCUMENT}
    found = decode(Shape(kind, many=False, meta=None), msgspec.json.encode({"data": record}), LATEST_VERSION)
    return cast("M", found.data)


_RECIPES: dict[type[Model], Callable[[Profile, Ids], Record]] = {
    Account: lambda profile, ids: _people.account(profile, ids, {}),
    Identity: lambda profile, ids: _people.identity(profile, ids, _NOTHING_CHANGED),
    Employment: lambda profile, ids: _people.employment(profile, ids, _NOTHING_CHANGED),
    Income: lambda profile, ids: _people.income(profile, ids, _NOTHING_CHANGED),
    DirectDepositAllocations: lambda profile, ids: _people.allocations(profile, ids, _NOTHING_CHANGED),
    Paystub: lambda profile, ids: _pay.paystubs(profile, ids, _NOTHING_CHANGED)[-1],
    Shift: lambda profile, ids: _pay.shifts(profile, ids, _NOTHING_CHANGED)[-1],
    TaxForm: lambda profile, ids: _pay.tax_forms(profile, ids, _NOTHING_CHANGED)[-1],
    TaxFormW2: lambda profile, _: _pay.w2(profile),
    Address: lambda profile, _: _people.address(profile.employer),
    Employer: lambda profile, ids: _directory.employer(ids, profile.employer),
    Platform: lambda profile, ids: _directory.platform(ids, profile.platform),
    Job: lambda profile, ids: _reports.job(profile, ids, 3, LATEST_VERSION),
}
_REQUESTS: dict[type[Model], dict[str, Any]] = {
    LinkTokenRequest: {"solution": "Verify", "features": ("paystubs",), "end_user_id": "end_user_000001"},
}
