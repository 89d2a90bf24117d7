"""The table of endpoints, and the package that holds it."""

import subprocess
import sys

import pytest

from pinwheel_async import endpoints
from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async.endpoints import _table
from pinwheel_async.endpoints._table import ENDPOINTS


def test_every_row_of_every_module_is_in_the_table():
    """Rows are found, not registered: each module constant that is a row stands in the table."""
    modules = [module for name, module in sys.modules.items() if name.startswith("pinwheel_async.endpoints.")]
    rows = {id(value) for module in modules for value in vars(module).values() if isinstance(value, Endpoint)}

    assert rows == {id(row) for row in ENDPOINTS}


def test_no_operation_comes_twice():
    """An operation names one row."""
    assert len(ENDPOINTS) == len({row.operation for row in ENDPOINTS})


def test_a_new_row_needs_no_registration(monkeypatch):
    """A row that is added to a module is in the table when it is built."""
    row = Endpoint(operation="new", method="GET", path="/v1/new", result=None, shape="nothing")
    monkeypatch.setattr("pinwheel_async.endpoints.shifts._NEW", row, raising=False)

    assert row in _table._rows()


@pytest.mark.parametrize("name", endpoints.__all__)
def test_every_public_name_can_be_imported(name):
    """The lazy names lead somewhere."""
    assert getattr(endpoints, name) is not None


def test_the_package_lists_its_public_names():
    """`dir()` is the public names, whether they were asked for or not."""
    assert sorted(endpoints.__all__) == dir(endpoints)


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name is not found, as in any module."""
    with pytest.raises(AttributeError, match="Paystubs"):
        _ = endpoints.Paystubs


def test_importing_the_package_imports_no_group():
    """A program that needs one group does not pay for the others."""
    code = (
        "import sys, pinwheel_async.endpoints as e; before = set(sys.modules); e.PaystubEndpoints;"
        "print([m for m in before if m.startswith('pinwheel_async.endpoints.') and '._' not in m[15:]],"
        "'pinwheel_async.endpoints.shifts' in sys.modules, 'pinwheel_async.endpoints.paystubs' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.strip() == "[] False True"
