"""Page of the exceptions: the tree, and each with the facts that it knows."""

import inspect

from pinwheel_async import errors
from pinwheel_async.docs import _names
from pinwheel_async.docs._reference.objects import describe

_INTRODUCTION = """# Exceptions

Every exception of the library is a `PinwheelError` and can be imported from `pinwheel_async`. `NotReadyError` of
`Readiness.wait` is one, too: see [the receiver](webhooks.md). No text, repr or traceback of them holds a payload value,
a secret, a cursor or a signed URL: what an error knows are attributes.

"""


def exceptions_page() -> str:
    """Return the page."""
    tree = inspect.cleandoc(errors.__doc__ or "").split("```")[1].strip("\n")
    parts = [_INTRODUCTION, f"```text\n{tree}\n```\n"]
    parts += [
        describe(name, value)
        for name, value in _names.described().items()
        if is_exception(value) and name.count(".") == 1
    ]
    return "\n".join([*parts, describe("pinwheel_async.ErrorDetail", errors.ErrorDetail)])


def is_exception(value: object) -> bool:
    """Whether it is a class of exceptions."""
    return isinstance(value, type) and issubclass(value, BaseException)
