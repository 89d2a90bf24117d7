"""What people see of a sync and of deliveries: a bar while they run, a table when they are over."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.progress import Progress as Bar, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pinwheel_async.sync import Progress, SyncReport
from pinwheel_async.webhooks import Entry

_RECENT = 50
"""How many times of telling the pace is taken from: about five seconds."""


@contextmanager
def progress_bar(products: int) -> Generator[Callable[[Progress], None] | None]:
    """Show on stderr how far a sync is, if somebody looks at it; give what `sync` takes as *on_progress*."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, transient=True) as live:
        recent: deque[Progress] = deque(maxlen=_RECENT)

        def show(progress: Progress) -> None:
            recent.append(progress)
            live.update(progress_table(recent, products))

        yield show


def progress_table(recent: Sequence[Progress], products: int) -> Table:
    """Return what is to be seen of a sync.

    Args:
        recent: What was told last, oldest first.
        products: How many products of each account are fetched.
    """
    first, last = recent[0], recent[-1]
    total = last.units_total
    done = f"{last.units_done // products:,}/{'?' if last.accounts_total is None else f'{last.accounts_total:,}'}"
    if total and last.accounts_total is not None:  # a run need not be about every product of an account
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


def print_report(report: SyncReport) -> None:
    """Print what a sync did, and on stderr what failed."""
    console = Console(highlight=False)
    table = Table(title=f"{report.accounts:,} accounts", title_justify="left")
    table.add_column("product", overflow="fold")
    for heading in ("items", "pages", "accounts", "unchanged", "missing", "failed"):
        table.add_column(heading, justify="right")
    for product, counts in report.products.items():
        numbers = (counts.items, counts.pages, counts.complete, counts.unchanged, counts.missing, counts.failed)
        table.add_row(product, *(f"{one:,}" if one else "·" for one in numbers))
    console.print(table)
    per_s = report.pages / report.seconds if report.seconds else 0.0
    console.print(f"{report.items:,} items in {report.pages:,} pages, {report.seconds:.1f} s, {per_s:,.0f} pages/s")
    _print_failures(report)


def print_plan(report: SyncReport) -> None:
    """Print what a dry run has counted, and on stderr what it could not find out."""
    planned = report.planned or {}
    console = Console(highlight=False)
    table = Table(title=f"{report.accounts:,} accounts", title_justify="left")
    table.add_column("product")
    for heading in ("to read", "unchanged", "missing"):
        table.add_column(heading, justify="right")
    for product, counts in report.products.items():
        numbers = (planned.get(product, 0), counts.unchanged, counts.missing)
        table.add_row(product, *(f"{one:,}" if one else "·" for one in numbers))
    console.print(table)
    accounts = planned.get("accounts", 0)
    console.print(f"at least {sum(planned.values()):,} requests, {accounts:,} of them for the accounts themselves")
    _print_failures(report)


def _print_failures(report: SyncReport) -> None:
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for failure in report.failures:
        errors.print(f"failed: {failure.product} of {failure.account_id}: {failure.error}")


@contextmanager
def event_counter() -> Generator[Callable[[], None]]:
    """Show on stderr, if somebody looks at it, how often the function was called that is given."""
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


def print_events(entries: Iterable[Entry]) -> None:
    """Print what came of deliveries, one line for all events whose names begin with the same word."""
    received: Counter[str] = Counter()
    handled: Counter[str] = Counter()
    for one in entries:
        family = one.event.partition(".")[0]
        received[family] += 1
        handled[family] += one.state == "done"
    table = Table(title=f"{received.total():,} webhooks", title_justify="left")
    table.add_column("events")
    for heading in ("received", "handled"):
        table.add_column(heading, justify="right")
    for family in sorted(received):
        table.add_row(f"{family}.*", f"{received[family]:,}", f"{handled[family]:,}")
    Console(highlight=False).print(table)
