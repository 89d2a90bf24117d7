"""What people see of a sync and of deliveries: a bar while they run, a table when they are over."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pinwheel_async.sync import Progress, SyncReport
from pinwheel_async.webhooks import Entry


@contextmanager
def progress_bar(products: int) -> Generator[Callable[[Progress], None] | None]:
    """Show a bar on stderr, if somebody looks at it; give what `sync` takes as *on_progress*."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[items]:,} items"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("accounts", total=None, items=0)

        def show(progress: Progress) -> None:
            bar.update(
                task, completed=progress.units_done // products, total=progress.accounts_total, items=progress.items
            )

        yield show


def print_report(report: SyncReport) -> None:
    """Print what a sync did, and on stderr what failed."""
    console = Console(highlight=False)
    table = Table(title=f"{report.accounts:,} accounts", title_justify="left")
    table.add_column("product")
    for heading in ("items", "pages", "accounts", "missing", "failed"):
        table.add_column(heading, justify="right")
    for product, counts in report.products.items():
        numbers = (counts.items, counts.pages, counts.complete, counts.missing, counts.failed)
        table.add_row(product, *(f"{one:,}" if one else "·" for one in numbers))
    console.print(table)
    per_s = report.pages / report.seconds if report.seconds else 0.0
    console.print(f"{report.items:,} items in {report.pages:,} pages, {report.seconds:.1f} s, {per_s:,.0f} pages/s")
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
