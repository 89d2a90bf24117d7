"""Rounds, statistics and tables of the benchmarks, and made-up paystubs."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from random import Random
from time import process_time
from typing import Any

ACCOUNT_ID = "00000000-0000-4000-8000-000000000001"


def paystubs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Make up paystubs as the API sends them: 1.5 kB each, five taxes, three deductions, four earnings."""
    rng = Random(seed)
    return [_paystub(index, rng) for index in range(count)]


def shifts(count: int) -> list[dict[str, Any]]:
    """Make up shifts as the API sends them, each with a pair of clock times and two earnings."""
    return [
        {
            "id": f"00000000-0000-4000-8000-{index:012d}",
            "created_at": f"2026-03-{1 + index % 27:02d}T19:30:00.118402+00:00",
            "account_id": ACCOUNT_ID,
            "start_date": f"2026-03-{1 + index % 27:02d}",
            "end_date": f"2026-03-{1 + index % 27:02d}",
            "type": "shift",
            "timestamps": [
                {
                    "from": f"2026-03-{1 + index % 27:02d}T09:00:00-05:00",
                    "to": f"2026-03-{1 + index % 27:02d}T17:00:00-05:00",
                }
            ],
            "currency": "USD",
            "earnings": [
                {"name": "Regular", "category": "hourly", "amount": 12_000 + index, "rate": 1500, "hours": 8.0},
                {"name": "Tips", "category": "tips", "amount": 700 + index, "rate": None, "hours": None},
            ],
            "timezone": "America/New_York",
        }
        for index in range(count)
    ]


def event_body(number: int) -> bytes:
    """Make up the body of a delivery, 452 bytes: an event of its own, of one of 500 accounts."""
    payload = {
        "id": "5a0c1b52-7d3e-4c55-8f41-2b9d3f6a7c01",
        "name": "income",
        "timestamp": "2026-03-17T15:05:03.000001+00:00",
        "outcome": "success",
        "error_code": None,
        "error_type": None,
        "link_token_id": "9c2f4e8a-1b3d-4f60-9a7e-6d5c4b3a2f02",
        "params": {},
        "account_id": f"e7d1a3b5-2c4f-4e68-8b9a-{number % 500:012d}",
        "end_user_id": "usr_42",
    }
    event_id = f"8f0b4a0e-8f0b-4a0e-9a53-{number:012d}"
    return json.dumps({"event_id": event_id, "event": "income.added", "payload": payload}).encode()


class Nowhere:
    """A sink that forgets what it is given."""

    async def open(self) -> None: ...

    async def write(self, batch: object) -> None: ...

    async def close(self, *, complete: bool) -> None: ...


def page(items: Sequence[Mapping[str, Any]], cursor: str | None = None) -> bytes:
    """Write the body of a page."""
    meta = {"count": len(items), "next_cursor": cursor, "refreshed_at": "2026-03-17T15:05:02.118402+00:00"}
    return json.dumps({"data": items, "meta": meta}, separators=(",", ":")).encode()


def interleaved(contenders: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Run the contenders by turns, each for about *seconds* a round, in an order that changes from round to round.

    Returns:
        Seconds of CPU time per call, one figure per round: what else the machine does then hardly counts.
    """
    calls: dict[str, int] = {}
    for name, run in contenders.items():
        run()
        began = process_time()
        run()
        calls[name] = max(1, int(seconds / max(1e-7, process_time() - began)))
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    order, rng = list(contenders), Random(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            run, count = contenders[name], calls[name]
            began = process_time()
            for _ in range(count):
                run()
            figures[name].append((process_time() - began) / count)
    return figures


def ratio(figures: Mapping[str, Sequence[float]], contender: str, other: str) -> float:
    """Return the median over the rounds of one contender's figure by another's."""
    return statistics.median(a / b for a, b in zip(figures[contender], figures[other], strict=True))


def report(title: str, unit: str, figures: Mapping[str, Sequence[float]], floor: str, **facts: object) -> None:
    """Print medians with quartiles and the median ratio to a floor within rounds, and the same on one line of JSON.

    Args:
        title: What was measured.
        unit: Of the figures.
        figures: For each contender a figure for each round.
        floor: The contender that the others are compared with.
        facts: What else programs should know, such as targets.
    """
    contenders: dict[str, dict[str, float]] = {}
    for name, found in figures.items():
        q1, median, q3 = statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
        of_floor = ratio(figures, name, floor)
        contenders[name] = {"median": median, "q1": q1, "q3": q3, "of_floor": of_floor}
    rows = [(name, *values.values()) for name, values in contenders.items()]
    show(
        f"{title}, {unit}",
        ("contender", "median", "1st quartile", "3rd quartile", f"of {floor}"),
        rows,
        {"title": title, "unit": unit, "floor": floor, "contenders": contenders, **facts},
    )


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
        {**line, "type": "pre_tax"} for line in lines("Medical Dental 401k", "medical_insurance dental retirement")
    ]
    earnings = [
        {**line, "rate": 2550, "hours": rng.randrange(1, 160) / 2}
        for line in lines("Regular Overtime Bonus Holiday", "hourly overtime bonus pto")
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
