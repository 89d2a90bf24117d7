"""Error chains in one line: types and places of an error and its causes, and no text or value of others' errors."""

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeGuard

from pinwheel_async.errors import ApiError, DecodeError, InboxError, PinwheelError, SinkError, TransportError

MAX_LENGTH = 1500
"""Characters of a line, at most; the row of a delivery holds it, too."""

SHOWN_FRAMES = 5
"""Frames that are shown at each end where there are more than both together: the handler's, and those that raised."""

SHOWN_ERRORS = 10
"""Causes and members of groups that are shown, at most: chains may be as long as the memory allows."""

SHOWN_MEMBERS = 3
"""Members of an exception group that are shown."""

_OURS = frozenset(
    {
        str(Path(__file__).with_name("dispatch.py")),
        str(Path(__file__).parent.with_name("_router.py")),
        str(Path(__file__).parents[2] / "_privacy.py"),
    }
)
"""Files whose frames are left out: they only call handlers, or pass calls on."""

_TELLING = (ApiError, TransportError, DecodeError, InboxError, SinkError)
"""Errors of this library whose texts are shown: they name endpoints, statuses, codes and places, and never a value."""

_ROOTS = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
"""Folders to which paths are shortened; those of packages first, as they may lie in that of the standard library."""


def error_chain(error: BaseException) -> str:
    """Return types and places of an error, from the handler down to the raise, and of its causes."""
    return _shorten(_error(error, set()))


def suspended_at(awaiting: Any) -> str:
    """Return where a coroutine waits, from the outermost frame down; nothing if that cannot be told."""
    return _shorten(_places(list(_suspended(awaiting))))


def _error(error: BaseException, seen: set[int]) -> str:
    seen.add(id(error))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    said = f" ({error})" if isinstance(error, _TELLING) and kind.__module__ == PinwheelError.__module__ else ""
    text = name + said + _places(list(_raised(error)))
    if _is_group(error):
        exceptions: tuple[BaseException, ...] = error.exceptions
        members = [member for member in exceptions if id(member) not in seen]
        shown = [_error(member, seen) for member in members[:SHOWN_MEMBERS]]
        more = [f"{len(members) - SHOWN_MEMBERS} more"] if len(members) > SHOWN_MEMBERS else []
        text += f" of [{'; '.join(shown + more)}]"
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause is None or id(cause) in seen or len(seen) >= SHOWN_ERRORS:
        return text
    return f"{text}, {'from' if error.__cause__ is not None else 'while handling'} {_error(cause, seen)}"


def _is_group(error: BaseException) -> "TypeGuard[BaseExceptionGroup[BaseException]]":
    return isinstance(error, BaseExceptionGroup)


def _raised(error: BaseException) -> Iterator[tuple[str, CodeType, int]]:
    traceback = error.__traceback__
    while traceback is not None:
        yield _module(traceback.tb_frame), traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


def _suspended(awaiting: Any) -> Iterator[tuple[str, CodeType, int]]:
    while awaiting is not None:
        frame: FrameType | None = None
        inner: Any = None
        for prefix, following in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = frame or getattr(awaiting, f"{prefix}_frame", None)
            inner = inner or getattr(awaiting, following, None)
        if frame is not None:
            yield _module(frame), frame.f_code, frame.f_lineno
        awaiting = inner


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _places(frames: Sequence[tuple[str, CodeType, int]]) -> str:
    places = [
        f"{module}.{code.co_qualname} ({_path(code.co_filename)}:{line})"
        for module, code, line in frames
        if code.co_filename not in _OURS
    ]
    if len(places) > 2 * SHOWN_FRAMES:
        left_out = f"{len(places) - 2 * SHOWN_FRAMES} more"
        places = [*places[:SHOWN_FRAMES], left_out, *places[-SHOWN_FRAMES:]]
    return f" at {' > '.join(places)}" if places else ""


def _path(path: str) -> str:
    """Return a path as one finds it: relative to installed packages or the working directory, else its last parts."""
    file = Path(path)
    for root in (*_ROOTS, _working_directory()):
        if root is not None and file.is_relative_to(root):
            return str(file.relative_to(root))
    return str(Path(*file.parts[-3:]))


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 4]} ..."
