"""Router of the fake: from method and path to the row of the API table; literal segments win over placeholders."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import attrs
from attrs import define, field, frozen

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._privacy import Discreet


@define
class _Node:
    """One node of the tree of path segments."""

    literals: dict[str, "_Node"] = field(factory=dict[str, "_Node"])
    placeholder: "_Node | None" = None
    rows: dict[str, list[Endpoint[Any]]] = field(factory=dict[str, list[Endpoint[Any]]])


@frozen
class Found(Discreet):
    """Match of a path: the rows of each method, and the values of the placeholders, in their order."""

    rows: Mapping[str, list[Endpoint[Any]]]
    values: tuple[str, ...] = field(repr=False)


class Routes:
    """The tree of every row's path."""

    def __init__(self, rows: Iterable[Endpoint[Any]]) -> None:
        self._root = _Node()
        # Deprecated rows last, because `choose` takes the first of those that share a method and a path.
        for row in sorted(rows, key=lambda row: row.deprecated):
            self._add(row)

    def _add(self, row: Endpoint[Any]) -> None:
        node = self._root
        for segment in row.path.strip("/").split("/"):
            if segment.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.literals.setdefault(segment, _Node())
        node.rows.setdefault(row.method, []).append(row)

    def find(self, path: str) -> Found | None:
        """Return where a path as it came, percent-encoded, leads to."""
        return _walk(self._root, path[1:].split("/"), 0, ())


def placeholders(row: Endpoint[Any], found: Found) -> dict[str, str]:
    """Return the values of a row's placeholders by name."""
    names = [segment[1:-1] for segment in row.path.split("/") if segment.startswith("{")]
    return dict(zip(names, found.values, strict=True))


def choose(rows: list[Endpoint[Any]], sent: Iterable[str]) -> Endpoint[Any]:
    """Choose between rows that share method and path: the first whose required fields were sent, else the first."""
    if len(rows) == 1:
        return rows[0]
    names = set(sent)
    return next((row for row in rows if row.body is None or _required(row.body) <= names), rows[0])


def _required(body: type[Any]) -> set[str]:
    return {attribute.name for attribute in attrs.fields(body) if attribute.default is attrs.NOTHING}


def _walk(node: _Node, segments: list[str], at: int, values: tuple[str, ...]) -> Found | None:
    if at == len(segments):
        return Found(node.rows, values) if node.rows else None
    literal = node.literals.get(segments[at])
    found = _walk(literal, segments, at + 1, values) if literal else None
    if found is None and node.placeholder is not None and segments[at]:
        found = _walk(node.placeholder, segments, at + 1, (*values, unquote(segments[at])))
    return found
