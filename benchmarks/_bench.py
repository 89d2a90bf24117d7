"""What the benchmarks share: made-up bodies, peers' models made from ours, rounds, and how results are printed."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import perf_counter
from typing import Any

ACCOUNT_ID = "00000000-0000-4000-8000-000000000001"


def paystubs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Make up paystubs as the API sends them: 1.5 kB each, five taxes, three deductions, four earnings."""
    rng = Random(seed)
    return [_paystub(index, rng) for index in range(count)]


def page(items: Sequence[Mapping[str, Any]], cursor: str | None = None) -> bytes:
    """Write the body of a page."""
    meta = {"count": len(items), "next_cursor": cursor, "refreshed_at": "2026-03-17T15:05:02.118402+00:00"}
    return json.dumps({"data": items, "meta": meta}, separators=(",", ":")).encode()


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Run the contenders by turns, each for about *seconds* a round, in an order that changes from round to round.

    Returns:
        Seconds per call, one figure per round.
    """
    calls: dict[str, int] = {}
    for name, run in contenders.items():
        run()
        began = perf_counter()
        run()
        calls[name] = max(1, int(seconds / (perf_counter() - began)))
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    order, rng = list(contenders), Random(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            run, count = contenders[name], calls[name]
            began = perf_counter()
            for _ in range(count):
                run()
            figures[name].append((perf_counter() - began) / count)
    return figures


def ratio(figures: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """Return the median over the rounds of one contender's figure by another's."""
    return statistics.median(a / b for a, b in zip(figures[one], figures[other], strict=True))


def show(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]], facts: Mapping[str, object]) -> None:
    """Print a table, and the same facts on one line of JSON for programs."""
    cells = [list(map(str, heads)), *(list(map(_shown, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    print(title)
    for row in cells:
        first, *others = (
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join([first, *others]))
    print(json.dumps(facts))


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _paystub(index: int, rng: Random) -> dict[str, Any]:
    def amount() -> int:
        return rng.randrange(1_000, 400_000)

    def lines(names: str, categories: str) -> list[dict[str, Any]]:
        pairs = zip(names.split(), categories.split(), strict=True)
        return [{"name": name, "category": category, "amount": amount()} for name, category in pairs]

    taxes = lines("Federal SocSec Medicare State Local", "federal_income social_security medicare state_income other")
    deductions = [
        {**one, "type": "pre_tax"} for one in lines("Medical Dental 401k", "medical_insurance dental retirement")
    ]
    earnings = [
        {**one, "rate": 2550, "hours": rng.randrange(1, 160) / 2}
        for one in lines("Regular Overtime Bonus Holiday", "hourly overtime bonus pto")
    ]
    return {
        "id": f"00000000-0000-4000-8000-{index:012d}",
        "created_at": f"2026-03-{1 + index % 27:02d}T09:30:00.118402+00:00",
        "account_id": ACCOUNT_ID,
        "pay_date": f"2026-03-{1 + index % 27:02d}",
        "pay_period_start": "2026-02-13",
        "pay_period_end": "2026-02-27",
        "currency": "USD",
        "gross_pay_amount": amount(),
        "net_pay_amount": amount(),
        "check_amount": amount(),
        "gross_pay_ytd": amount(),
        "net_pay_ytd": amount(),
        "total_taxes": amount(),
        "total_deductions": amount(),
        "total_reimbursements": 0,
        "external_paystub_id": f"external-{index}",
        "employer_name": "Fictional Foods",
        "document": None,
        "taxes": taxes,
        "deductions": deductions,
        "earnings": earnings,
        "time_off": [],
    }
