"""Lazy import of a package's public names: `attach` makes its `__getattr__` and `__dir__`, as PEP 562 has them.

```python
if not TYPE_CHECKING:  # a checker that saw these would let misspelt names pass
    __getattr__, __dir__ = attach(__name__, {"ShiftEndpoints": "pinwheel_async.endpoints.shifts"})
```
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def attach(
    package: str, homes: Mapping[str, str], *, extras: Mapping[str, tuple[str, str]] | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a `__getattr__` that imports names when they are first asked for, and a `__dir__` of the public names.

    Args:
        package: `__name__` of the package; it has an `__all__`.
        homes: Full name of the module that defines a name, by this name.
        extras: What brings a module that may not be installed: name of the project and of our extra, by module.
    """

    def import_name(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value: object = getattr(import_module(homes[name]), name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing not in (extras or {}):
                raise
        else:
            setattr(sys.modules[package], name, value)  # found there from now on, without this function
            return value
        project, extra = (extras or {})[missing]
        raise ModuleNotFoundError(f"{name} needs {project}: pip install 'pinwheel-async[{extra}]'", name=missing)

    def public_names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return import_name, public_names
