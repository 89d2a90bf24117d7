"""HTML page of the state of a copy: one file without a script, which holds ids and numbers, and no payroll data."""

from collections.abc import Sequence
from datetime import datetime

from pinwheel_async.cli._render import age_of
from pinwheel_async.sync import FailedProduct, ProductStatus, Status
from pinwheel_async.sync._maintenance.readings import AGES, Reading, Readings
from pinwheel_async.webhooks._inspector.html import Child, Html, breakable, joined, tag
from pinwheel_async.webhooks._inspector.layout import short

MAX_ACCOUNTS = 500
"""Rows of the heat map: about 0.4 MB of HTML, which a browser shows at once, and nobody reads more."""

MAX_FAILURES = 200
"""Rows of the list of failures."""

_AGE_NAMES = ("day", "week", "month", "older")
_AGE_TEXTS = ("within a day", "within a week", "within a month", "older")
_NAMES = {"direct_deposit_allocations": "allocations"}
"""Names of products that are too long for a column."""

_STYLE = """
:root { color-scheme: light dark; --ground: light-dark(#f7f8f9, #13161a); --raised: light-dark(#fff, #1c2127);
  --text: light-dark(#1b1f24, #e8eaed); --quiet: light-dark(#565e67, #a9b1bb); --line: light-dark(#d5dae0, #3a414a);
  --day: light-dark(#1a7f37, #238636); --week: light-dark(#8fd3a3, #1d4d2b); --month: light-dark(#f2dc9b, #5c4813);
  --older: light-dark(#f0b37e, #74401a); --failed: light-dark(#a40e26, #b62324); --on-dark: #fff;
  --accent: light-dark(#0b5cad, #79b8ff); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 3rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p { margin: 0.25rem 0 0.75rem; } .quiet { color: var(--quiet); }
code { font: 0.88em ui-monospace, monospace; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 3px solid var(--accent); }
table { border-collapse: collapse; font-size: 0.93rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; font-weight: 400; padding: 0.3rem 0.7rem; border: 1px solid var(--line); }
th, td { white-space: nowrap; }
thead th { color: var(--quiet); } .number { text-align: right; }
.wrap { white-space: normal; min-width: 14rem; }
.map tbody th { position: sticky; left: 0; background: var(--ground); }
.map td { text-align: center; min-width: 5.5rem; }
.day { background: var(--day); color: var(--on-dark); } .week { background: var(--week); }
.month { background: var(--month); } .older { background: var(--older); }
.failed { background: var(--failed); color: var(--on-dark); font-weight: 600; }
.never, .missing, .reading { background: var(--raised); color: var(--quiet); }
.bar { display: flex; width: 14rem; height: 1.1rem; border: 1px solid var(--line); background: var(--raised); }
.legend { display: flex; flex-wrap: wrap; gap: 0.4rem; padding: 0; list-style: none; }
.legend li { padding: 0.1rem 0.6rem; border: 1px solid var(--line); border-radius: 6px; }
"""


def status_page(found: Status, readings: Readings, facts: str, now: datetime) -> str:
    """Return the page.

    Args:
        found: What the copy holds.
        readings: Readings of some of its accounts.
        facts: Whose data it is, and what of it.
        now: When both were looked up.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing is loaded, whatever stands in the page, and no script runs.
        tag(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", "State of a copy of payroll data"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(_STYLE)),
    )
    when = tag("time", f"{now:%Y-%m-%d %H:%M} UTC", datetime=now.isoformat(timespec="seconds"))
    erased = f", {found.erased:,} erased" if found.erased else ""
    body = tag(
        "main",
        tag("h1", "State of a copy"),
        tag("p", f"{found.accounts:,} accounts{erased}; {facts}; as of ", when, class_="quiet"),
        *_products(found, readings),
        *_map(readings, tuple(found.products), now),
        *_failures(found.failures),
    )
    return joined([Html("<!doctype html>\n"), tag("html", head, tag("body", body), lang="en")])


def _products(found: Status, readings: Readings) -> list[Child]:
    heads = ["product", "how old complete readings are", *_AGE_TEXTS, "reading", "404", "never", "failed", "objects"]
    rows = [
        tag(
            "tr",
            tag("th", _name(product), scope="row"),
            tag("td", _bar(readings.ages[product], status)),
            *[tag("td", f"{count:,}", class_="number") for count in readings.ages[product]],
            *[
                tag("td", f"{count:,}", class_="number failed" if is_bad else "number")
                for count, is_bad in (
                    (status.reading, False),
                    (status.missing, False),
                    (status.never, False),
                    (status.failed, status.failed > 0),
                    (status.objects, False),
                )
            ],
        )
        for product, status in found.products.items()
    ]
    return [tag("h2", "Products", id="products"), _table("products", heads, rows)]


def _bar(ages: Sequence[int], status: ProductStatus) -> Html:
    """Return a bar of the ages; the numbers stand beside it, so that it says nothing that only eyes can see."""
    total = sum(ages) + status.reading + status.missing + status.never
    parts = [
        tag("span", class_=name, style=f"width: {100 * count / total:.2f}%")
        for name, count in zip(_AGE_NAMES, ages, strict=True)
        if count
    ]
    return tag("div", *parts, class_="bar", aria_hidden="true")


def _map(readings: Readings, products: Sequence[str], now: datetime) -> list[Child]:
    legend = [tag("li", text, class_=name) for name, text in zip(_AGE_NAMES, _AGE_TEXTS, strict=True)]
    legend += [tag("li", text, class_=text) for text in ("failed", "reading", "never")]
    legend.append(tag("li", "404: the account has no such data", class_="missing"))
    rows = [
        tag(
            "tr",
            tag("th", tag("code", short(account)), scope="row"),
            *[_cell(reading, now) for reading in by_product.values()],
        )
        for account, by_product in readings.accounts.items()
    ]
    left_out = f" {readings.left_out:,} more are left out." if readings.left_out else ""
    order = "First those that failed, then those of which least was read, then those read longest ago."
    return [
        tag("h2", "Accounts and products", id="accounts"),
        tag("p", f"How long ago each was read. {order}{left_out}"),
        tag("ul", *legend, class_="legend", aria_label="Colours"),
        _table("accounts", ["account", *map(_name, products)], rows, class_="map"),
    ]


def _cell(reading: Reading, now: datetime) -> Html:
    if reading.state != "complete" or reading.begun_at is None:
        return tag("td", {"missing": "404"}.get(reading.state, reading.state), class_=reading.state)
    age = now - reading.begun_at
    name = next((name for name, limit in zip(_AGE_NAMES, AGES, strict=False) if age < limit), _AGE_NAMES[-1])
    return tag("td", age_of(max(age.total_seconds(), 0)), class_=name)


def _failures(failures: Sequence[FailedProduct]) -> list[Child]:
    if not failures:
        return [tag("h2", "Failures"), tag("p", "None.")]
    latest = sorted(failures, key=lambda failure: failure.last_at, reverse=True)[:MAX_FAILURES]
    rows = [
        tag(
            "tr",
            tag("th", tag("code", short(failure.account_id) or "unknown"), scope="row"),
            tag("td", _name(failure.product)),
            tag("td", tag("code", breakable(failure.error)), class_="wrap"),
            tag("td", tag("code", breakable(failure.place or "")), class_="wrap"),
            tag("td", f"{failure.attempts:,}", class_="number"),
            tag("td", f"{failure.first_at:%Y-%m-%d %H:%M}"),
            tag("td", f"{failure.last_at:%Y-%m-%d %H:%M}"),
        )
        for failure in latest
    ]
    left_out = len(failures) - len(latest)
    heads = ["account", "product", "error", "place", "attempts", "first (UTC)", "last (UTC)"]
    return [
        tag("h2", "Failures", id="failures"),
        tag("p", f"{left_out:,} older ones are left out.") if left_out else None,
        _table("failures", heads, rows),
    ]


def _table(labelled_by: str, heads: Sequence[str], rows: Sequence[Html], *, class_: str | None = None) -> Html:
    head = tag("tr", *[tag("th", text, scope="col") for text in heads])
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_=class_, aria_labelledby=labelled_by)
    # It can be scrolled by keyboard, too.
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_labelledby=labelled_by)


def _name(product: str) -> str:
    return _NAMES.get(product, product.replace("_", " "))
