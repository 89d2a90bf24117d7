"""Cassette: recorded exchanges and webhooks as JSON that can be read, compared and kept beside the tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define, field, frozen

from pinwheel_async._core.fields import is_object
from pinwheel_async._privacy import Discreet

_FORMAT = 1


@frozen(kw_only=True)
class Exchange(Discreet):
    """A request, and how it was answered; masked."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    status: int
    headers: dict[str, str] = field(factory=dict[str, str], repr=False)
    body: Any = field(default=None, repr=False)


@define
class Content(Discreet):
    """What a cassette holds."""

    exchanges: list[Exchange] = Factory(list[Exchange])
    webhooks: list[dict[str, Any]] = Factory(list[dict[str, Any]])
    """Each with `version` and `body`."""


def write(path: Path, content: Content) -> None:
    """Write a cassette, in place of an older one."""
    exchanges: Sequence[dict[str, Any]] = [
        {
            "method": exchange.method,
            "path": exchange.path,
            "query": [list(pair) for pair in exchange.query],
            "status": exchange.status,
            "headers": exchange.headers,
            "body": exchange.body,
        }
        for exchange in content.exchanges
    ]
    document = {"format": _FORMAT, "exchanges": exchanges, "webhooks": content.webhooks}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def read(path: Path) -> Content:
    """Read a cassette.

    Raises:
        ValueError: It is none, or one of a newer version of this library.
        OSError: It cannot be read.
    """
    document: Any = json.loads(path.read_text(encoding="utf-8"))
    if not is_object(document) or document.get("format") != _FORMAT:
        raise ValueError(f"{path} is no cassette that this version can play")
    exchanges = [
        Exchange(
            method=found["method"],
            path=found["path"],
            query=tuple([(name, value) for name, value in found["query"]]),
            status=found["status"],
            headers=found["headers"],
            body=found["body"],
        )
        for found in document["exchanges"]
    ]
    return Content(exchanges, list(document["webhooks"]))
