"""HTML as a tree of elements: whatever is not made by `tag` is text, and is escaped."""

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = frozenset({"br", "input", "link", "meta", "wbr"})
"""Elements without content."""

NOTHING_SHOWN = "\ufffd"
"""What stands for a character that changes how others are read, such as one that turns the direction of a line."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = Html | str | int | float | None
"""What an element holds: HTML, or anything else as text; None for nothing."""


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """Make an element.

    Args:
        name: Its name.
        children: What it holds.
        attributes: Its attributes; `class_` is `class`, `aria_live` is `aria-live`. True stands for one without a
            value, and None or False for none at all.
    """
    given = "".join([_attribute(key, value) for key, value in attributes.items()])
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    """Return HTML and text one after another."""
    return Html("".join([child if isinstance(child, Html) else _text(child) for child in children]))


def breakable(name: str) -> Html:
    """Return a name that may be broken into lines after a dot, an underscore or a slash, and nowhere else."""
    parts: list[Child] = re.split(r"(?<=[._/])(?=.)", name)
    return joined([child for part in parts for child in (part, tag("wbr"))][:-1])


def _text(child: Child) -> str:
    if child is None:
        return ""
    shown = "".join([char if char.isprintable() or char == "\n" else NOTHING_SHOWN for char in str(child)])
    return escape(shown)


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    key = name.removesuffix("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escape(str(value))}"'
