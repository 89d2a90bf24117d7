"""Renderers that walk the fields of an object show no more of it than its repr does."""

import importlib
import pkgutil
import pprint
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import structlog.tracebacks
from hypothesis.vendor.pretty import pretty as hypothesis_pretty
from rich.pretty import pretty_repr

import pinwheel_async
from pinwheel_async._core.derived import StructModel, struct_of
from pinwheel_async._core.model import Model
from pinwheel_async._core.wire import Request, Response
from pinwheel_async._http.prepare import PreparedRequest
from pinwheel_async._privacy import Discreet
from pinwheel_async.settings import Settings
from pinwheel_async.webhooks._readiness.state import AccountReadiness

UUID = "00000000-0000-4000-8000-000000000001"
PLANTED = re.compile(r"planted-\w+")

RENDERERS: dict[str, Callable[[object], str]] = {
    "rich": pretty_repr,
    "structlog": structlog.tracebacks.to_repr,
    "pprint": pprint.pformat,
    "hypothesis": hypothesis_pretty,
    "str": str,
}


def _classes() -> Iterator[type]:
    """Return every attrs class of the package, and the struct of every model that can have one."""
    for module in pkgutil.walk_packages(pinwheel_async.__path__, "pinwheel_async."):
        if not module.name.endswith(("__main__", "_main")):
            importlib.import_module(module.name)
    pending: list[type] = [object]
    seen: set[type] = set()
    while pending:
        kind = pending.pop()
        seen.add(kind)
        pending += [found for found in type.__subclasses__(kind) if found not in seen]
    ours = {kind for kind in seen if str(kind.__module__).startswith("pinwheel_async") and attrs.has(kind)}
    models = [kind for kind in ours if issubclass(kind, Model) and kind.__module__.startswith("pinwheel_async.models")]
    return iter(sorted({*ours, *map(struct_of, models)}, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}"))


CLASSES = list(_classes())


def _names(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, StructModel):
        return kind.__struct_fields__
    return tuple(attribute.name for attribute in attrs.fields(kind))


def _planted(kind: Any, mark: str = "a") -> Any:
    """Make an object without its checks; the name of the field stands in each of its values."""
    if issubclass(kind, StructModel):
        return kind(**{name: f"planted-{name}_{mark}" for name in _names(kind)})
    made = object.__new__(kind)
    for name in _names(kind):
        object.__setattr__(made, name, f"planted-{name}_{mark}")
    if kind is AccountReadiness:  # its repr reads these
        object.__setattr__(made, "wanted", ())
    return made


def _shown(render: Callable[[object], str], value: object) -> set[str]:
    return set(PLANTED.findall(render(value)))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_class(kind, pytestconfig, monkeypatch):
    """No renderer, and no comparison of pytest, shows a field that the repr of its class keeps back."""
    monkeypatch.setenv("CI", "true")  # then it shows comparisons as a whole
    value, other = _planted(kind), _planted(kind, "b")
    allowed = _shown(repr, value)
    for name, render in RENDERERS.items():
        assert _shown(render, value) <= allowed, name
    compared = pytestconfig.hook.pytest_assertrepr_compare(config=pytestconfig, op="==", left=value, right=other)
    assert set(PLANTED.findall(repr(compared))) <= allowed | _shown(repr, other)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in CLASSES if issubclass(kind, Model | StructModel | Request | Response | PreparedRequest)],
    ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}",
)
def test_what_is_sent_and_what_comes(kind):
    """Models, events, pages, structs, requests and answers show nothing at all of what is planted in them."""
    allowed = {f"planted-{name}_a" for name in ("endpoint", "method", "status")}  # our words and numbers
    for name, render in {"repr": repr, **RENDERERS}.items():
        assert _shown(render, _planted(kind)) <= allowed, name


def test_fields_that_a_repr_keeps_back_are_kept_back_by_all():
    """A class that hides a field from its repr is `Discreet`, so that renderers and comparisons hide it, too."""
    for kind in CLASSES:
        if issubclass(kind, StructModel):
            continue
        written_by_attrs = "attrs generated" in getattr(getattr(kind.__repr__, "__code__", None), "co_filename", "")
        hides = not written_by_attrs or not all(attribute.repr for attribute in attrs.fields(kind))
        assert not hides or issubclass(kind, Discreet), kind


def test_ids_are_shown():
    """Ids of the API's form stand in every renderer, so that a log can be followed."""
    account = pinwheel_async.testing.make(pinwheel_async.models.Account, id=UUID)
    for render in (repr, *RENDERERS.values()):
        assert UUID in render(account)


def test_settings_do_not_show_a_password_in_their_base_url():
    """The repr of settings that are refused, as a frame holds them, keeps the user part of the URL back."""
    settings = _planted(Settings)
    object.__setattr__(settings, "base_url", "https://user:planted-password@api.example")
    for render in (repr, *RENDERERS.values()):
        assert "planted-password" not in render(settings)
