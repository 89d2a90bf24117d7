"""Rendering: progress bars on stderr, if it is a terminal; tables on stdout, or lines with tabs for other programs."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.progress import Progress as Bar, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # what most commands do without: the sync brings SQLAlchemy
    from pinwheel_async.sync import Progress, SyncReport
    from pinwheel_async.webhooks import Entry

_RECENT = 50
"""Progress reports that the pace is computed from: they come at most ten times a second, so about five seconds."""

DAY_S = 86_400
_AGE_UNITS = ((DAY_S, "d"), (3_600, "h"), (60, "min"))


@contextmanager
def progress_bar(products: int) -> "Generator[Callable[[Progress], None] | None]":
    """Show a progress bar on stderr if it is a terminal; give what `sync` takes as *on_progress*."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, transient=True) as live:
        recent: deque[Progress] = deque(maxlen=_RECENT)

        def show(progress: "Progress") -> None:
            recent.append(progress)
            live.update(progress_table(recent, products))

        yield show


def progress_table(recent: "Sequence[Progress]", products: int) -> Table:
    """Return the progress of a sync as a table.

    Args:
        recent: The latest progress reports, oldest first.
        products: How many products of each account are fetched.
    """
    first, last = recent[0], recent[-1]
    total = last.units_total
    done = f"{last.units_done // products:,}/{'?' if last.accounts_total is None else f'{last.accounts_total:,}'}"
    if total and last.accounts_total is not None:  # a run may concern only some products of an account
        done = f"{last.units_done * last.accounts_total // total:,}/{last.accounts_total:,}"
    elapsed_s = last.elapsed_s - first.elapsed_s
    facts = {
        "items": f"{last.items:,}",
        "pages/s": f"{(last.pages - first.pages) / elapsed_s if elapsed_s else 0:,.0f}",
        "in flight": f"{last.in_flight:,}",
        "paused": f"{last.paused_s:.0f} s" if last.paused_s else "",
        "left": "" if last.eta_s is None else _span(last.eta_s),
    }
    bar = ProgressBar(total=total or None, completed=last.units_done, width=40)
    table = Table.grid(padding=(0, 2))
    table.add_row(Text("accounts", "bold"), done, bar, _span(last.elapsed_s))
    shown = Table.grid(padding=(0, 2))
    shown.add_row(*(f"{name} {value}" for name, value in facts.items() if value))
    both = Table.grid()
    both.add_row(table)
    both.add_row(shown)
    if last.errors:
        both.add_row(Text(", ".join(f"{name} {count:,}" for name, count in last.errors.items()), "red"))
    return both


def _span(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


def print_report(report: "SyncReport") -> None:
    """Print what a sync did, and on stderr what failed."""
    console = Console(highlight=False)
    # Without lines between columns it fits into a terminal of 80, also when the numbers are in the millions.
    table = Table(
        title=f"{report.accounts:,} accounts",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("product", overflow="fold")
    for heading in ("items", "pages", "accounts", "unchanged", "missing", "failed"):
        table.add_column(heading, justify="right")
    for product, counts in report.products.items():
        numbers = (counts.items, counts.pages, counts.complete, counts.unchanged, counts.missing, counts.failed)
        table.add_row(product, *map(_number, numbers))
    console.print(table)
    per_s = report.pages / report.seconds if report.seconds else 0.0
    console.print(f"{report.items:,} items in {report.pages:,} pages, {report.seconds:.1f} s, {per_s:,.0f} pages/s")
    _print_failures(report)


def print_plan(report: "SyncReport") -> None:
    """Print what a dry run has counted, and on stderr what it could not find out."""
    planned = report.planned or {}
    console = Console(highlight=False)
    table = Table(title=f"{report.accounts:,} accounts", title_justify="left")
    table.add_column("product")
    for heading in ("to read", "unchanged", "missing"):
        table.add_column(heading, justify="right")
    for product, counts in report.products.items():
        numbers = (planned.get(product, 0), counts.unchanged, counts.missing)
        table.add_row(product, *map(_number, numbers))
    console.print(table)
    accounts = planned.get("accounts", 0)
    console.print(f"at least {sum(planned.values()):,} requests, {accounts:,} of them for the accounts themselves")
    _print_failures(report)


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"


def _print_failures(report: "SyncReport") -> None:
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for failure in report.failures:
        account = failure.account_id or "an account whose id cannot be read"
        errors.print(f"failed: {failure.product} of {account}: {failure.error}")


@contextmanager
def event_counter() -> Generator[Callable[[], None]]:
    """Count events on stderr if it is a terminal; give the function to call for each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]webhooks"),
        TextColumn("{task.completed:,} events"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("webhooks", total=None)
        yield lambda: bar.advance(task)


def print_events(entries: "Iterable[Entry]") -> None:
    """Print how many deliveries were received and handled, one line for each family of events."""
    received: Counter[str] = Counter()
    handled: Counter[str] = Counter()
    for entry in entries:
        family = entry.event.partition(".")[0]
        received[family] += 1
        handled[family] += entry.state == "done"
    table = Table(title=f"{received.total():,} webhooks", title_justify="left")
    table.add_column("events")
    for heading in ("received", "handled"):
        table.add_column(heading, justify="right")
    for family in sorted(received):
        table.add_row(f"{family}.*", f"{received[family]:,}", f"{handled[family]:,}")
    Console(highlight=False).print(table)


def age_of(seconds: float) -> str:
    """Write how long ago something was, in its largest unit."""
    return next((f"{seconds / size:.0f} {unit}" for size, unit in _AGE_UNITS if seconds >= size), f"{seconds:.0f} s")


def print_rows(rows: Sequence[Mapping[str, object]], *, omit: Sequence[str], fold: str | None = None) -> None:
    """Print rows: on a terminal as a table, else a line for each with whole values between tabs, without headings.

    No id is cut or folded: a terminal that is too narrow loses columns.

    Args:
        rows: Values by heading, the same headings in each. A moment is its age on a terminal, and ISO 8601 elsewhere.
        omit: Headings of columns that a narrow terminal does without, the first one first.
        fold: Heading of the column with a text that may be folded.
    """
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        for row in rows:
            print("\t".join([_plain(value) for value in row.values()]))
        return
    now = datetime.now(UTC)
    shown = [{heading: _short(value, now) for heading, value in row.items()} for row in rows]
    headings = list(rows[0]) if rows else []
    widths = {heading: max(len(heading), *(len(row[heading]) for row in shown)) for heading in headings}
    if fold in widths:
        widths[fold] = min(widths[fold], _LEAST_FOLDED)
    for heading in omit:
        if _width_of(widths) > console.width:
            widths.pop(heading, None)
    table = Table()
    for heading in widths:
        table.add_column(heading, no_wrap=heading != fold, overflow="fold" if heading == fold else "ignore")
    for row in shown:
        table.add_row(*[row[heading] for heading in widths])
    console.width = max(console.width, _width_of(widths))
    console.print(table)


_LEAST_FOLDED = 20
"""Characters that a folded column gets at least: narrower ones cannot be read."""


def _width_of(widths: Mapping[str, int]) -> int:
    """Return how wide a table is: each column with a blank on both sides, and lines between and around them."""
    return sum(widths.values()) + 3 * len(widths) + 1


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    return "".join([char if char.isprintable() else " " for char in text])


def _short(value: object, now: datetime) -> str:
    return age_of((now - value).total_seconds()) if isinstance(value, datetime) else _plain(value)
