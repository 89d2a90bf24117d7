"""A sync into files of JSON lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async import Pinwheel, SinkError
from pinwheel_async.models import TaxFormSummary
from pinwheel_async.sync import Batch, JsonLinesSink, MemorySink, sync
from pinwheel_async.testing import make_account

Shown = Callable[[Any], Any]


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def form(number: int) -> Batch:
    """Make a page with a tax form."""
    item: Any = {"id": str(number), "account_id": "a", "created_at": None, "form_type": "W-2", "year": 2025}
    return Batch(kind="tax_forms", account_id="a", items=(TaxFormSummary(**item),))


async def test_files_hold_what_was_fetched(pinwheel: Pinwheel, tmp_path: Path, shown: Shown):
    """Each kind has a file with a line per object, every field of it, without signed links."""
    memory = MemorySink()
    await sync(pinwheel, memory, concurrency=1)

    await sync(pinwheel, JsonLinesSink(tmp_path), concurrency=1)

    for kind in ("accounts", "identity", "paystubs", "shifts", "tax_forms"):
        assert [*map(shown, memory.items(kind))] == read(tmp_path / f"{kind}.jsonl")
    assert not [*tmp_path.glob("*.partial")]
    assert "Signature" not in (tmp_path / "paystubs.jsonl").read_text()


async def test_running_twice_changes_nothing(pinwheel: Pinwheel, tmp_path: Path):
    """A second run takes the place of the first, line by line."""
    await sync(pinwheel, JsonLinesSink(tmp_path), concurrency=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    await sync(pinwheel, JsonLinesSink(tmp_path), concurrency=1)

    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


async def test_an_incomplete_run_replaces_nothing(tmp_path: Path):
    """A run that did not come to its end leaves the files of an earlier one as they are."""
    for number, complete in ((1, True), (2, False)):
        sink = JsonLinesSink(tmp_path)
        await sink.open()
        await sink.write(form(number))
        await sink.close(complete=complete)

    assert [line["id"] for line in read(tmp_path / "tax_forms.jsonl")] == ["1"]
    assert [line["id"] for line in read(tmp_path / "tax_forms.jsonl.partial")] == ["2"]


async def test_files_of_other_kinds_stay(tmp_path: Path):
    """A run that fetches only some kinds leaves the files of the others alone."""
    (tmp_path / "shifts.jsonl").write_text("{}\n")
    sink = JsonLinesSink(tmp_path)
    await sink.open()
    await sink.write(form(1))
    await sink.close(complete=True)

    assert {"shifts.jsonl", "tax_forms.jsonl"} == {path.name for path in tmp_path.iterdir()}


async def test_new_files_belong_to_their_owner(pinwheel: Pinwheel, tmp_path: Path):
    """New files can be read by their owner only."""
    await sync(pinwheel, JsonLinesSink(tmp_path / "new"), products=["income"])

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}


async def test_a_folder_that_cannot_be_made(pinwheel: Pinwheel, tmp_path: Path):
    """A folder that cannot be made is a SinkError with the system's name of the trouble."""
    (tmp_path / "file").touch()

    with pytest.raises(SinkError, match=r"the files cannot be written \(.*folder\): ENOTDIR"):
        await sync(pinwheel, JsonLinesSink(tmp_path / "file" / "folder"))


async def test_a_place_that_is_taken(tmp_path: Path):
    """Where one of the new files cannot take its place, none does."""
    (tmp_path / "tax_forms.jsonl" / "folder").mkdir(parents=True)
    (tmp_path / "accounts.jsonl").write_text("earlier")
    sink = JsonLinesSink(tmp_path)
    await sink.open()
    await sink.write(Batch(kind="accounts", account_id=None, items=(make_account(1),)))
    await sink.write(form(1))

    with pytest.raises(SinkError, match="EISDIR"):
        await sink.close(complete=True)
    assert (tmp_path / "accounts.jsonl").read_text() == "earlier"


@pytest.mark.parametrize("first_ends", [True, False])
async def test_two_at_a_time(tmp_path: Path, *, first_ends: bool):
    """Of two runs that write files of the same names the one that began them last ends; the other is an error."""
    sinks = [JsonLinesSink(tmp_path) for _ in range(2)]
    for number, sink in enumerate(sinks):
        await sink.open()
        await sink.write(form(number))
        await sink.write(form(number))
    first, last = sinks
    await first.write(form(0))

    if not first_ends:
        await last.close(complete=True)
    with pytest.raises(SinkError, match="others write files of the same names"):
        await first.close(complete=True)
    if first_ends:
        await last.close(complete=True)

    assert [line["id"] for line in read(tmp_path / "tax_forms.jsonl")] == ["1", "1"]


async def test_a_full_disk(tmp_path: Path):
    """A full disk is a SinkError, at the latest when the sink is closed."""
    (tmp_path / "tax_forms.jsonl.partial").symlink_to("/dev/full")
    sink = JsonLinesSink(tmp_path)
    await sink.open()
    await sink.write(form(1))

    with pytest.raises(SinkError, match="ENOSPC"):
        await sink.close(complete=True)
    assert not (tmp_path / "tax_forms.jsonl").exists()
