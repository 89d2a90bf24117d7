"""Privacy: what keeps payroll data and secrets out of logs, whatever renders an object, an error or its frames.

Renderers do not stop at `repr()`: rich, structlog, pytest and Hypothesis walk the fields of an attrs class, Sentry and
structlog the local variables of every frame of a traceback, and pickles hold whatever an object holds.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar, cast

from typing_extensions import deprecated

C = TypeVar("C", bound=Callable[..., Any])
K = TypeVar("K", bound=type[Any])

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
"""Ids, which may be shown: those of the API's objects and of its answers have this form."""

_PACKAGE = str(Path(__file__).parent)


def ids_of(value: object) -> Iterator[tuple[str, object]]:
    """Yield name and value of the ids that have the form of a UUID."""
    for name in ("event_id", "id", "account_id"):
        found: object = getattr(value, name, None)
        if isinstance(found, str) and UUID.fullmatch(found):
            yield name, found


def described(value: object, shown: Iterable[tuple[str, object]]) -> str:
    """Return the class of an object, and what may be shown of it."""
    return f"<{' '.join([type(value).__name__, *(f'{name}={part}' for name, part in shown)])}>"


def compared_discreetly(kind: K) -> K:
    """Keep pytest from listing the fields that differ, which it does where attrs wrote the comparison.

    Decorator of a `Discreet` class without slots, which gets its comparison when it is made already.
    """
    compare: Any = vars(kind).get("__eq__")
    if hasattr(compare, "__code__"):
        # It knows that by the name of the file that attrs makes up for the code.
        compare.__code__ = compare.__code__.replace(co_filename=f"<comparison of {kind.__qualname__}>")
    return kind


class Discreet:
    """Base of what holds payroll data or secrets: whatever renders it shows the class and its ids, and no field.

    A subclass that may show more overrides `_shown`, or lets attrs write a repr of the fields that are not marked with
    `repr=False`.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Keep pytest from listing the fields that differ; attrs makes a class with slots anew with its comparison."""
        super().__init_subclass__()
        compared_discreetly(cls)

    def __eq__(self, other: object) -> bool:
        """Compare by identity where attrs writes no comparison: of object's own, pytest would list the fields, too."""
        return True if self is other else NotImplemented

    def __hash__(self) -> int:
        """Hash by identity, as it compares."""
        return object.__hash__(self)

    def _shown(self) -> Iterator[tuple[str, object]]:
        """Yield name and value of what may be shown: the ids that have the form of a UUID."""
        yield from ids_of(self)

    def __repr__(self) -> str:
        """Return the class name and what may be shown."""
        return described(self, self._shown())

    def __rich_repr__(self) -> list[tuple[str, object]] | None:
        """Return the same for rich, and so for structlog; None where attrs wrote the repr, whose marks rich honours."""
        if type(self).__repr__ is not Discreet.__repr__:
            return None
        try:
            return list(self._shown())
        except Exception:  # noqa: BLE001  # rich would turn to the fields; half an object stands in a frame of __init__
            return []

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Print the same for IPython and Hypothesis."""
        printer.text(repr(self))


class Unpicklable:
    """Base of what holds a secret or a connection: it stays in its process."""

    __slots__ = ()

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: a pickle would hold the secret in clear.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{type(self).__name__} holds secrets, so it is neither pickled nor copied: make another one")


def without_locals(function: C) -> C:
    """Return a function whose errors hold no local variables: neither its own nor those of what it called.

    The frames stay, with their names and lines. Without this, a traceback would hold every argument, whether or not it
    was refused before a request was made of it. Frames of the caller are left as they are.
    """
    notice: str | None = getattr(function, "__deprecated__", None)
    if notice is not None and hasattr(function, "__wrapped__"):
        # The warning names the line that calls, so that it has to know how many frames lie between.
        inner = without_locals(inspect.unwrap(function))
        if inspect.iscoroutinefunction(inner):
            return cast("C", deprecated(notice)(inner))  # pyright: ignore[reportArgumentType]  # was literal
        function = cast("C", deprecated(notice, stacklevel=2)(inner))  # pyright: ignore[reportArgumentType]  # was literal
    return cast("C", (_wrapped_coroutine if inspect.iscoroutinefunction(function) else _wrapped)(function))


def _wrapped_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            running = function(*args, **kwargs)
            args, kwargs = (), {}
            return await running
        except BaseException as error:
            args, kwargs = (), {}
            clear_frames(error)
            raise

    return call


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            args, kwargs = (), {}
            clear_frames(error)
            raise

    return call


def clear_frames(error: BaseException) -> None:
    """Drop the local variables of this library's frames, and of those they called, from an error and its causes.

    But those of the frame that calls it, which still runs.
    """
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        pending += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]
        _clear_traceback(found.__traceback__)


def _clear_traceback(traceback: TracebackType | None) -> None:
    ours = False
    while traceback is not None:
        frame = traceback.tb_frame
        ours = ours or frame.f_code.co_filename.startswith(_PACKAGE)
        if ours:
            with suppress(RuntimeError):  # it still runs: the one that asks for this
                frame.clear()
        traceback = traceback.tb_next
