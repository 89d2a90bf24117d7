"""A sync into Parquet files."""

import asyncio
import errno
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinwheel_async import DecodeError, Pinwheel, SinkError
from pinwheel_async._core.fields import attributes
from pinwheel_async._core.model import Model
from pinwheel_async.models import Document, TaxFormSummary
from pinwheel_async.sync import Batch, MemorySink, ParquetSink, sync
from pinwheel_async.sync._files.parquet import COLUMNS
from pinwheel_async.sync._files.parquet_columns import NAMES
from pinwheel_async.sync._files.parquet_file import ParquetFile

MOMENT = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5)))


def form(number: int, **values: Any) -> TaxFormSummary:
    """Make a tax form."""
    fields = {"id": str(number), "account_id": "a", "created_at": MOMENT, "form_type": "W-2", "year": 2025}
    made: Any = TaxFormSummary
    return made(**fields | values)


def page(*items: Model) -> Batch:
    """Make a page of tax forms."""
    return Batch(kind="tax_forms", account_id="a", items=items)


def read(path: Path) -> list[Any]:
    return pq.read_table(path).to_pylist()


def expected(value: Any) -> Any:
    """Return what is to be read back of a value."""
    if isinstance(value, Document):
        return value.id
    if isinstance(value, Model):
        return {
            NAMES.get(field.name, field.name): expected(getattr(value, field.name)) for field in attributes(type(value))
        }
    if isinstance(value, Mapping):
        return json.dumps(value, separators=(",", ":"))
    return [expected(inner) for inner in value] if isinstance(value, tuple) else value


async def written(folder: Path, *batches: Batch, complete: bool = True) -> None:
    sink = ParquetSink(folder)
    await sink.open()
    for batch in batches:
        await sink.write(batch)
    await sink.close(complete=complete)


async def test_files_hold_what_was_fetched(pinwheel: Pinwheel, tmp_path: Path):
    """Each kind has a file with a row per object, every field of it, in order of arrival."""
    memory = MemorySink()
    await sync(pinwheel, memory, concurrency=1)

    await sync(pinwheel, ParquetSink(tmp_path), concurrency=1)

    for kind in COLUMNS:
        assert [*map(expected, memory.items(kind))] == read(tmp_path / f"{kind}.parquet")
    assert {f"{kind}.parquet" for kind in COLUMNS} == {path.name for path in tmp_path.iterdir()}


async def test_no_signed_links(pinwheel: Pinwheel, tmp_path: Path):
    """Of a file only the id is kept."""
    await sync(pinwheel, ParquetSink(tmp_path), products=["paystubs"])

    assert any(row["document_id"] for row in read(tmp_path / "paystubs.parquet"))
    assert b"Signature" not in (tmp_path / "paystubs.parquet").read_bytes()


async def test_moments_are_kept_in_utc(tmp_path: Path):
    """A moment is kept to the microsecond, in UTC."""
    await written(tmp_path, page(form(1)))

    assert [MOMENT.astimezone(UTC)] == [row["created_at"] for row in read(tmp_path / "tax_forms.parquet")]
    assert pq.read_schema(tmp_path / "tax_forms.parquet").field("created_at").type == pa.timestamp("us", tz="UTC")


async def test_nulls(tmp_path: Path):
    """Every column may be null, because the API sends nulls where it says that it never does."""
    nothing = dict.fromkeys(("id", "account_id", "created_at", "form_type", "year"))

    await written(tmp_path, page(form(1, **nothing)))

    assert [nothing] == read(tmp_path / "tax_forms.parquet")


async def test_an_empty_kind_has_columns(tmp_path: Path):
    """A kind of which there was nothing has a file without rows, and with its columns."""
    await written(tmp_path, page())

    table = pq.read_table(tmp_path / "tax_forms.parquet")
    assert (0, list(COLUMNS["tax_forms"].names)) == (table.num_rows, table.column_names)


async def test_row_groups(tmp_path: Path):
    """Rows are gathered to row groups of a few thousand, and the rest is one more."""
    await written(tmp_path, *[page(*[form(1)] * 100) for _ in range(50)])

    file = pq.read_metadata(tmp_path / "tax_forms.parquet")
    assert [4_100, 900] == [file.row_group(at).num_rows for at in range(file.num_row_groups)]


async def test_large_rows_are_not_gathered(tmp_path: Path):
    """Large rows are written before they fill the memory."""
    await written(tmp_path, *[page(form(1, form_type="x" * (5 << 20))) for _ in range(4)])

    assert pq.read_metadata(tmp_path / "tax_forms.parquet").num_row_groups == 2


async def test_memory_does_not_grow_with_the_run(tmp_path: Path):
    """What pyarrow holds while a run goes on is no more after many pages than after a few."""
    sink = ParquetSink(tmp_path)
    await sink.open()
    batch = page(*[form(number, form_type=f"{number}" * 20) for number in range(1_000)])
    held = []
    for _ in range(40):
        await sink.write(batch)
        held.append(pa.total_allocated_bytes())
    await sink.close(complete=True)

    assert max(held[20:]) <= max(held[:20]) * 1.1


async def test_a_slow_disk_slows_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`write` returns when the page was handed on, so whoever fetches waits for the disk."""
    gate = threading.Event()
    real = ParquetFile.write

    def slow(self: ParquetFile, rows: Any) -> None:
        gate.wait(10)
        real(self, rows)

    monkeypatch.setattr(ParquetFile, "write", slow)
    sink = ParquetSink(tmp_path)
    await sink.open()
    writing = [asyncio.create_task(sink.write(page(form(number)))) for number in range(3)]
    done, _ = await asyncio.wait(writing, timeout=0.05)
    gate.set()
    await asyncio.gather(*writing)
    await sink.close(complete=True)

    assert not done
    assert ["0", "1", "2"] == [row["id"] for row in read(tmp_path / "tax_forms.parquet")]


async def test_a_cancelled_write_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A write that is cancelled while it is under way is over before the next one, and before the file is closed."""
    gate, begun = threading.Event(), threading.Event()
    real = ParquetFile.write

    def slow(self: ParquetFile, rows: Any) -> None:
        begun.set()
        gate.wait(10)
        real(self, rows)

    monkeypatch.setattr(ParquetFile, "write", slow)
    sink = ParquetSink(tmp_path)
    await sink.open()
    writing = asyncio.create_task(sink.write(page(form(1))))
    await asyncio.to_thread(begun.wait, 10)
    writing.cancel()
    closing = asyncio.create_task(sink.close(complete=False))
    await asyncio.wait({writing, closing}, timeout=0.05)
    gate.set()
    await closing

    assert writing.cancelled()
    assert ["1"] == [row["id"] for row in read(tmp_path / "tax_forms.parquet.partial")]


async def test_an_incomplete_run_replaces_nothing(tmp_path: Path):
    """A run that did not come to its end leaves the files of an earlier one as they are."""
    for number, complete in ((1, True), (2, False)):
        await written(tmp_path, page(form(number)), complete=complete)

    assert [row["id"] for row in read(tmp_path / "tax_forms.parquet")] == ["1"]
    assert [row["id"] for row in read(tmp_path / "tax_forms.parquet.partial")] == ["2"]


async def test_running_twice_changes_nothing(pinwheel: Pinwheel, tmp_path: Path):
    """A second run takes the place of the first, row by row."""
    before, after = [], []
    for seen in (before, after):
        await sync(pinwheel, ParquetSink(tmp_path), concurrency=1)
        seen.extend(read(tmp_path / f"{kind}.parquet") for kind in COLUMNS)

    assert before == after


async def test_files_of_other_kinds_stay(tmp_path: Path):
    """A run that fetches only some kinds leaves the files of the others alone."""
    (tmp_path / "shifts.parquet").write_bytes(b"earlier")

    await written(tmp_path, page(form(1)))

    assert (tmp_path / "shifts.parquet").read_bytes() == b"earlier"


async def test_new_files_belong_to_their_owner(tmp_path: Path):
    """New files can be read by their owner only."""
    await written(tmp_path / "new", page(form(1)))

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"year": 2**64}, "data[1].year: beyond 64 bits"),
        ({"form_type": "planted\ud800"}, "data[1].form_type: holds half a character"),
        (
            {"created_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))},
            "data[1].created_at: beyond the calendar",
        ),
        ({"year": "planted"}, "data: not of the types of its fields"),
    ],
)
async def test_what_cannot_be_kept(tmp_path: Path, values, path):
    """A page that cannot be kept is a DecodeError that names the place, never the value, and ends nothing else."""
    sink = ParquetSink(tmp_path)
    await sink.open()
    await sink.write(page(form(1)))
    with pytest.raises(DecodeError) as caught:
        await sink.write(page(form(2), form(3, **values)))
    await sink.write(page(form(4)))
    await sink.close(complete=True)

    assert (path,) == caught.value.paths
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert ["1", "4"] == [row["id"] for row in read(tmp_path / "tax_forms.parquet")]


async def test_a_folder_that_cannot_be_made(tmp_path: Path):
    """A folder that cannot be made is a SinkError with the system's name of the trouble."""
    (tmp_path / "file").touch()

    with pytest.raises(SinkError, match=r"the files cannot be written \(.*folder\): ENOTDIR"):
        await ParquetSink(tmp_path / "file" / "folder").open()


async def test_a_full_disk(tmp_path: Path):
    """A full disk is a SinkError, at the latest when the sink is closed; the other files are closed nevertheless."""
    (tmp_path / "tax_forms.parquet.partial").symlink_to("/dev/full")
    (tmp_path / "tax_forms.parquet").write_bytes(b"earlier")
    sink = ParquetSink(tmp_path)
    await sink.open()
    await sink.write(page(form(1)))
    await sink.write(Batch(kind="shifts", account_id="a", items=()))

    with pytest.raises(SinkError, match="ENOSPC"):
        await sink.close(complete=True)
    assert (tmp_path / "tax_forms.parquet").read_bytes() == b"earlier"
    assert not (tmp_path / "shifts.parquet").exists()


async def test_a_file_that_cannot_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file whose end is not written takes no place, though the disk may have room again a moment later."""
    sink = ParquetSink(tmp_path)
    await sink.open()
    await sink.write(page(form(1)))

    real = ParquetFile.finish

    def full(self: ParquetFile) -> None:
        real(self)
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(ParquetFile, "finish", full)
    with pytest.raises(SinkError, match="ENOSPC"):
        await sink.close(complete=True)

    assert ["tax_forms.parquet.partial"] == [path.name for path in tmp_path.iterdir()]


async def test_a_full_disk_in_the_middle(tmp_path: Path):
    """A disk that is full in the middle of a run is a SinkError of `write`, and the sink can be closed."""
    (tmp_path / "tax_forms.parquet.partial").symlink_to("/dev/full")
    sink = ParquetSink(tmp_path)
    await sink.open()
    # What no compression makes small, so that it is written at once.
    words = [Random(number).randbytes(1_000).hex() for number in range(5_000)]
    with pytest.raises(SinkError, match="ENOSPC"):
        await sink.write(page(*[form(number, form_type=word) for number, word in enumerate(words)]))

    with pytest.raises(SinkError, match="ENOSPC"):
        await sink.close(complete=False)


async def test_a_closed_sink():
    """A sink that is not open takes nothing."""
    with pytest.raises(SinkError, match="the files are not open: closed"):
        await ParquetSink("nowhere").write(page(form(1)))
