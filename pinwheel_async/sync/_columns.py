"""How fields become columns, whatever keeps them: what they are called, and of which type they are."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

NAMES = {"from_": "starts_at", "to": "ends_at", "document": "document_id"}
"""Columns that are not called like their field: SQL has words of its own."""


def single_type(kind: Any) -> Any:
    """Return the one type that a field has beside null; None if it has several. An enum is an open list of texts."""
    inner = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    members = {str if get_origin(one) is Literal else one for one in inner} - {NoneType}
    return members.pop() if len(members) == 1 else None
