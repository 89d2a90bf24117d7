"""Pages of the packages: what each of them makes public, with members and arguments."""

from importlib import import_module

from pinwheel_async.docs import _names
from pinwheel_async.docs._reference.exceptions import is_exception
from pinwheel_async.docs._reference.objects import describe

ELSEWHERE = {"pinwheel_async.ErrorDetail"}
"""What stands on another page."""


def api_page(package: str) -> str:
    """Return the page of a package: its classes and functions in the order of its `__all__`."""
    doc = (import_module(package).__doc__ or "").strip()
    parts = [f"# {package}\n", doc + "\n"]
    for name, value in _names.described().items():
        elsewhere = name in ELSEWHERE or (package == "pinwheel_async" and is_exception(value))
        if name.rpartition(".")[0] == package and not elsewhere:
            parts.append(describe(name, value))
    return "\n".join(parts)
