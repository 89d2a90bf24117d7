"""Page of the log events: every line that the library can log, found in its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from pinwheel_async.docs._reference.markdown import code, table

PACKAGE = Path(__file__).parents[2]

LEVELS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "log": "WARNING or ERROR",
}
"""Level by the method of a logger; `log` takes it as an argument."""

_INTRODUCTION = """# Log events

Four loggers, without handlers: `pinwheel_async.http`, `pinwheel_async.sync`, `pinwheel_async.webhooks`, and
`pinwheel_async.audit`, which says who read a stored body, and who did what in the inspector. `%s` and `%d` stand for
ids in the form of a UUID, names, numbers and kinds of errors: no line holds a payload value, a secret, a token, a
cursor or a signed URL.

Let an ERROR of `pinwheel_async.webhooks` raise an alarm: see
[what to alarm on](../how-to/operate-the-inbox.md#what-to-alarm-on).

"""


@frozen(order=True)
class LogEvent:
    """A line that can be logged."""

    logger: str
    level: str
    message: str
    """With the place-holders of `logging`."""
    event: str
    """Attribute `event` of the record, by which programs know it; empty where there is none."""
    place: str
    """Module and line."""


def log_events() -> list[LogEvent]:
    """Return every line that the library can log, by logger, level and text."""
    return sorted(event for file in sorted(PACKAGE.rglob("*.py")) for event in _events_of(file))


def logs_page() -> str:
    """Return the page."""
    found = log_events()
    parts = [_INTRODUCTION]
    for logger in dict.fromkeys(event.logger for event in found):
        lines = dict.fromkeys((event.level, event.message, event.event) for event in found if event.logger == logger)
        rows = [[level, code(message), code(event) or "-"] for level, message, event in lines]
        parts += [f"## {logger}\n", table(["level", "message", "`event` of the record"], rows)]
    return "\n".join(parts)


def _events_of(file: Path) -> Iterator[LogEvent]:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text if "getLogger" in text else "")  # parsing all of the package takes two seconds
    loggers = dict(_loggers_of(tree))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            logger, method = loggers.get(node.func.value.id), node.func.attr
            if logger is not None and method in LEVELS:
                place = f"{file.relative_to(PACKAGE).as_posix()}:{node.lineno}"
                for message in _messages_of(node.args[1 if method == "log" else 0], tree):
                    yield LogEvent(logger, LEVELS[method], message, _event_of(node), place)


def _loggers_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func) == "logging.getLogger"
        ):
            (target,), (name,) = node.targets, node.value.args
            if isinstance(target, ast.Name) and isinstance(name, ast.Constant):
                yield target.id, str(name.value)


def _messages_of(argument: ast.expr, tree: ast.Module) -> Iterator[str]:
    """Yield the texts that an argument may be: itself, both of a choice, or what is assigned to its name."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.IfExp):
        yield from _messages_of(argument.body, tree)
        yield from _messages_of(argument.orelse, tree)
    elif isinstance(argument, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == argument.id for target in node.targets
            ):
                yield from _messages_of(node.value, tree)


def _event_of(call: ast.Call) -> str:
    """Return the name of an event that a call passes as `extra={"event": ...}`."""
    for keyword in call.keywords:
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "event" and isinstance(value, ast.Constant):
                    return str(value.value)
    return ""
