"""How long does a page of 20 paystubs take to decode, and what does one odd item in it cost?

Contenders take turns on the same 30 kB; ratios are taken within a round, and the median over all rounds is shown.
`pinwheel_async` is all that a client does with an answer: status, envelope, models, page. Targets: at most 1.4 times
what orjson takes to make dicts, and at most 2.2 times its own time where one item of 20 is odd (a null in a field that
is documented as never null).

    pip install '.[bench]' && python benchmarks/bench_decode.py
"""

import json
import statistics

import orjson
from _bench import interleaved, page, paystubs, ratio, show
from _peers import pydantic_model, stainless_model
from cattrs.preconf.orjson import make_converter
from finch._models import construct_type
from pydantic import create_model

from pinwheel_async._core.page import RefreshablePaginationMeta
from pinwheel_async._core.reply import read_reply
from pinwheel_async._core.wire import Response
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.models import Paystub

ITEMS = 20
ROUNDS = 41
SECONDS = 0.01

ROW = next(row for row in ENDPOINTS if row.operation == "list_paystubs")
PAYSTUBS = paystubs(ITEMS)
CLEAN = page(PAYSTUBS)
ODD = page([one | ({"currency": None} if at == ITEMS // 2 else {}) for at, one in enumerate(PAYSTUBS)])


def _page_model(make):
    meta = make(RefreshablePaginationMeta)
    return create_model(
        "PaystubPage", __base__=make(Paystub).__base__, data=(list[make(Paystub)], ...), meta=(meta, ...)
    )


def _ours(body):
    response = Response(status=200, headers={}, body=body)
    return lambda: read_reply(ROW, response, version="2025-07-08")


def _cattrs():
    converter = make_converter()
    return lambda: converter.structure(orjson.loads(CLEAN)["data"], tuple[Paystub, ...])


PYDANTIC = _page_model(pydantic_model)
STAINLESS = _page_model(stainless_model)

CONTENDERS = {
    "orjson, dicts": lambda: orjson.loads(CLEAN),
    "json, dicts": lambda: json.loads(CLEAN),
    "pinwheel_async": _ours(CLEAN),
    "pinwheel_async, one odd item": _ours(ODD),
    "pydantic": lambda: PYDANTIC.model_validate_json(CLEAN),
    "cattrs with orjson": _cattrs(),
    "Stainless (finch-api)": lambda: construct_type(value=json.loads(CLEAN), type_=STAINLESS),
}


def main() -> None:
    """Check that the contenders agree, run the rounds, print the table."""
    reply = CONTENDERS["pinwheel_async"]()
    odd = CONTENDERS["pinwheel_async, one odd item"]()
    assert len(reply.value) == len(odd.value) == len(PYDANTIC.model_validate_json(CLEAN).data) == ITEMS
    assert not reply.drift
    assert odd.drift
    figures = interleaved(CONTENDERS, ROUNDS, SECONDS)
    medians = {name: statistics.median(found) * 1e6 / ITEMS for name, found in figures.items()}
    ratios = {name: ratio(figures, name, "orjson, dicts") for name in figures}
    odd_ratio = ratio(figures, "pinwheel_async, one odd item", "pinwheel_async")
    rows = [(name, medians[name], ratios[name]) for name in CONTENDERS]
    show(
        f"Decode a page of {ITEMS} paystubs, {len(CLEAN) / 1000:.0f} kB",
        ("contender", "µs per paystub", "x orjson"),
        rows,
        {
            "benchmark": "decode",
            "microseconds_per_paystub": {name: round(one, 2) for name, one in medians.items()},
            "times_orjson": {name: round(one, 2) for name, one in ratios.items()},
            "odd_item_times_clean": round(odd_ratio, 2),
            "target": {"times_orjson": 1.4, "odd_item_times_clean": 2.2},
        },
    )


if __name__ == "__main__":
    main()
