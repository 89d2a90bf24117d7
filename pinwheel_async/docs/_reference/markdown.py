"""Markdown that the pages of the reference are made of."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from pinwheel_async.docs._source import Field


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped, and a line break becomes a blank."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "".join(f"| {' | '.join(map(_cell, cells))} |\n" for cells in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return a text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return texts as code, with commas between them."""
    return ", ".join(map(code, texts))


def indented(text: str, by: str = "  ") -> str:
    """Return a text with every line further to the right."""
    return "".join(by + line if line.strip() else line for line in text.splitlines(keepends=True))


def directive(name: str, argument: str, body: str = "", *, options: Sequence[str] = (), fence: str = ":::") -> str:
    """Return a directive of MyST; one inside another needs a shorter fence."""
    lines = [
        f"{fence}{{{name}}} {argument}".rstrip(),
        *options,
        *(["", body.strip()] if body.strip() else []),
        fence,
        "",
    ]
    return "\n".join(lines) + "\n"


UNITS = (
    ("MinorUnits", "minor units of the currency beside it: cents, for dollars"),
    ("Timestamp", "aware moment; a missing offset means UTC"),
    ("datetime", "aware moment"),
    ("Decimal", "exact decimal, as the text says"),
    ("Year", "calendar year"),
    ("date", "day"),
)
"""Units that follow from the type of a field."""


def unit_of(field: Field) -> str:
    """Return the unit of a field; empty where a value has none."""
    words = field.type.replace("|", " ").replace("[", " ").replace("]", " ").replace(",", " ").split()
    for kind, unit in UNITS:
        if kind in words:
            return unit
    if "hours" in field.name and "float" in words:
        return "hours"
    return "seconds" if field.name.endswith("_s") and ({"float", "int"} & set(words)) else ""


def values_of(alias: Any) -> tuple[str, ...]:
    """Return the values that a `Literal` lists, also inside a union; empty for anything else."""
    if get_origin(alias) is None:
        return ()
    if str(get_origin(alias)) == "typing.Literal":
        return tuple(map(str, get_args(alias)))
    return tuple(value for part in get_args(alias) for value in values_of(part))
