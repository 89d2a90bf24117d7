"""Lazy import of public names: when a module is imported, what is kept, and what is said where it is missing."""

import sys
from types import ModuleType

import pytest

from pinwheel_async import _lazy


@pytest.fixture
def package(monkeypatch):
    """A package with public names, which attaches what the test says."""
    module = ModuleType("planted_package")
    module.__all__ = ["second", "first"]
    monkeypatch.setitem(sys.modules, "planted_package", module)

    def attach(homes, **options):
        module.__getattr__, module.__dir__ = _lazy.attach("planted_package", homes, **options)
        return module

    return attach


@pytest.fixture
def home(monkeypatch):
    """A module that defines a name."""
    module = ModuleType("planted_home")
    module.first = object()
    monkeypatch.setitem(sys.modules, "planted_home", module)
    return module


def test_name_is_imported_once(package, home):
    """A name comes from its module and is kept, so that it is looked up there no more."""
    module = package({"first": "planted_home"})
    value = module.first
    del home.first

    assert module.first is value


def test_nothing_is_imported_before(package):
    """A module that nobody asks for need not be there."""
    assert package({"first": "planted_nowhere"}).__name__ == "planted_package"


def test_unknown_name(package):
    """A name that is not in the table is an AttributeError as of any module."""
    with pytest.raises(AttributeError, match=r"^module 'planted_package' has no attribute 'third'$"):
        _ = package({}).third


def test_dir(package):
    """`dir()` is the public names, sorted."""
    assert dir(package({})) == ["first", "second"]


def test_missing_extra(package):
    """Where a module of an extra is missing, the error says what to install, and hides the import that failed."""
    module = package({"first": "planted_nowhere"}, extras={"planted_nowhere": ("Planted", "plants")})

    with pytest.raises(
        ModuleNotFoundError, match=r"^first needs Planted: pip install 'pinwheel-async\[plants\]'$"
    ) as e:
        _ = module.first
    assert (e.value.name, e.value.__context__) == ("planted_nowhere", None)


def test_other_missing_module(package):
    """Where another module is missing, its own error comes through."""
    module = package({"first": "planted_nowhere"}, extras={"planted_elsewhere": ("Planted", "plants")})

    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'planted_nowhere'$"):
        _ = module.first
