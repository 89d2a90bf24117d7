"""Benchmark of decoding: pages of 20 paystubs and of 20 shifts, as documented and odd in several ways.

Contenders take turns on the same bytes; times are CPU time, ratios are taken within a round. `pinwheel_async` is all
that a client does with an answer: status, envelope, models, page. Odd pages are shown beside a clean one: of such an
API each page after the first is odd at places that are known by then. Targets: 20 paystubs at most 1.4 and 20 shifts at
most 1.5 times what orjson takes to make dicts; one odd item at most 1.3, a null in each 1.5, three oddities in each 2,
moments for days in each 5 times a clean page.

    pip install '.[bench]' && python -m benchmarks decode
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from _bench import interleaved, page, paystubs, report, shifts
from _peers import pydantic_model, stainless_model
from cattrs.preconf.orjson import make_converter
from finch._models import construct_type
from pydantic import create_model

from pinwheel_async._core.convert import _ShapeDecoder
from pinwheel_async._core.model import Model
from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async._core.reply import read_reply
from pinwheel_async._core.wire import Response
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.models import Paystub, Shift

ITEMS = 20
ROUNDS = 41
"""Many short turns rather than few long ones: the machine's pace changes within a second. Odd, so that the median is a
measured round."""

SECONDS = 0.01
VERSION = "2025-07-08"
OURS = "pinwheel_async"
ROWS = {row.operation: row for row in ENDPOINTS}


def _contenders(operation: str, kind: type[Model], body: bytes) -> Mapping[str, Callable[[], Any]]:
    row, response = ROWS[operation], Response(status=200, headers={}, body=body)
    converter = make_converter()

    def page_model(make: Callable[[type[Model]], Any]) -> Any:
        meta = make(RefreshablePaginationMeta)
        return create_model("P", __base__=make(kind).__base__, data=(list[make(kind)], ...), meta=(meta, ...))

    pydantic, stainless = page_model(pydantic_model), page_model(stainless_model)
    made = {
        "orjson, dicts": lambda: orjson.loads(body),
        "json, dicts": lambda: json.loads(body),
        OURS: lambda: read_reply(row, response, version=VERSION),
        "pydantic": lambda: pydantic.model_validate_json(body),
        "Stainless (finch-api)": lambda: construct_type(value=json.loads(body), type_=stainless),
    }
    if kind is Paystub:  # cattrs as it comes knows no other names for fields
        made["cattrs with orjson"] = lambda: converter.structure(orjson.loads(body)["data"], tuple[kind, ...])
    return made


def _pages(operation: str, bodies: Mapping[str, bytes]) -> Mapping[str, Callable[[], Any]]:
    """Return the decoding of each page by a decoder of its own, which has learned from no other page."""

    def contender(body: bytes) -> Callable[[], Any]:
        decoder = _ShapeDecoder(ROWS[operation].answer)
        return lambda: decoder.decode(body, VERSION)

    return {name: contender(body) for name, body in bodies.items()}


def _one_odd(items: Sequence[dict[str, Any]], odd: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    return page([odd(item) if at == len(items) // 2 else item for at, item in enumerate(items)])


def _null(paystub: dict[str, Any]) -> dict[str, Any]:
    return paystub | {"currency": None}


def _three(paystub: dict[str, Any]) -> dict[str, Any]:
    first, *others = paystub["taxes"]
    odd = paystub | {"currency": None, "taxes": [first | {"name": None}, *others]}
    del odd["total_reimbursements"]
    return odd


def _moments(shift: dict[str, Any]) -> dict[str, Any]:
    return shift | {day: f"{shift[day]}T00:00:00+00:00" for day in ("start_date", "end_date")}


def main() -> None:
    """Check that the contenders agree, run the rounds, print the tables."""
    some_paystubs, some_shifts = paystubs(ITEMS), shifts(ITEMS)
    for title, operation, kind, items, target in (
        ("Decode a page of 20 paystubs", "list_paystubs", Paystub, some_paystubs, 1.4),
        ("Decode a page of 20 shifts", "list_shifts", Shift, some_shifts, 1.5),
    ):
        contenders = _contenders(operation, kind, page(items))
        reply = contenders[OURS]()
        assert len(reply.value) == ITEMS
        assert not reply.drift
        report(title, "µs", _micro(interleaved(contenders, ROUNDS, SECONDS)), "orjson, dicts", target={OURS: target})
    odd_paystubs = {
        "as documented": page(some_paystubs),
        "one null in one item": _one_odd(some_paystubs, _null),
        "one null in each item": page([*map(_null, some_paystubs)]),
        "three oddities in one item": _one_odd(some_paystubs, _three),
        "three oddities in each item": page([*map(_three, some_paystubs)]),
    }
    odd_shifts = {
        "as documented": page(some_shifts),
        "moments for days in one item": _one_odd(some_shifts, _moments),
        "moments for days in each item": page([*map(_moments, some_shifts)]),
    }
    for title, operation, bodies in (
        ("Odd pages of 20 paystubs", "list_paystubs", odd_paystubs),
        ("Odd pages of 20 shifts", "list_shifts", odd_shifts),
    ):
        figures = interleaved(_pages(operation, bodies), ROUNDS, SECONDS)
        report(
            title, "µs", _micro(figures), "as documented", target={"one": 1.3, "null": 1.5, "three": 2, "moments": 5}
        )


def _micro(figures: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [seconds * 1e6 for seconds in found] for name, found in figures.items()}


if __name__ == "__main__":
    main()
