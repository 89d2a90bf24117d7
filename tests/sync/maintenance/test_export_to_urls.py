"""An export to a URL of a store that fsspec knows."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from pinwheel_async import ConfigurationError, Pinwheel, SinkError
from pinwheel_async.sync import SqlSink, export, sync
from pinwheel_async.sync._files import remote
from pinwheel_async.sync._files.private_folder import PrivateFolder

fsspec_memory: Any = fsspec.filesystem("memory")


@pytest.fixture
def place() -> str:
    """A folder of its own in a store."""
    return f"memory://bucket-{uuid4().hex}/a [1]"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the machine."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def files(place: str) -> dict[str, bytes]:
    root = place.removeprefix("memory:/")
    return {name.removeprefix(f"{root}/"): fsspec_memory.cat_file(name) for name in fsspec_memory.find(root)}


def local(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("options", [{}, {"partition_by": "month"}, {"format": "csv"}])
async def test_the_same_files(
    pinwheel: Pinwheel, url: str, place: str, tmp_path: Path, temporary: Path, options: dict[str, Any]
):
    """A store gets the files that a folder gets, and nothing is left in the temporary folder."""
    await sync(pinwheel, SqlSink(url), products=["income", "paystubs"])

    counts = await export(url, place, **options)

    assert counts == await export(url, tmp_path / "out", **options)
    assert files(place) == local(tmp_path / "out")
    assert not [*temporary.iterdir()]


async def test_earlier_months_go(pinwheel: Pinwheel, url: str, place: str):
    """Months that are not written any more are removed; other files stay."""
    await sync(pinwheel, SqlSink(url), products=["paystubs"], accounts=[])
    root = place.removeprefix("memory:/")
    earlier = ("paystubs/month=1999-01/paystubs.parquet", "paystubs/month=1999-01/mine.parquet", "mine.parquet")
    for name in earlier:
        fsspec_memory.pipe_file(f"{root}/{name}", b"earlier")

    await export(url, f"{place}/", partition_by="month", tables=["paystubs"])

    month = "paystubs/month=__HIVE_DEFAULT_PARTITION__/paystubs.parquet"
    assert {*earlier[1:], month} == files(place).keys()


async def test_a_url_of_a_folder(pinwheel: Pinwheel, url: str, tmp_path: Path):
    """A URL of a file of this machine is that folder: files appear there as in any other."""
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])

    await export(url, f"file://{tmp_path}/a%20folder", tables=["incomes"], format="csv")

    assert ["incomes.csv"] == [path.name for path in (tmp_path / "a folder").iterdir()]


async def test_a_failure_sends_nothing(
    pinwheel: Pinwheel, url: str, place: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    """If the files cannot be written nothing is sent, and nothing of them is left."""
    await sync(pinwheel, SqlSink(url), products=["income"])

    def fail(*arguments: object) -> None:
        raise OSError(28, "planted")

    monkeypatch.setattr("pinwheel_async.sync._maintenance.export.CsvFile.finish", fail)
    with pytest.raises(SinkError, match="ENOSPC"):
        await export(url, place, format="csv")

    assert not files(place)
    assert not [*temporary.iterdir()]


async def test_a_store_that_refuses(pinwheel: Pinwheel, url: str, temporary: Path, monkeypatch: pytest.MonkeyPatch):
    """Trouble of a store is a SinkError that names its kind, and no user, password or text of it."""
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])

    class Refusing:
        def put_file(self, *arguments: object) -> None:
            raise PermissionError("planted secret")

    monkeypatch.setattr(remote, "_store_of", lambda url: (Refusing(), "bucket/folder"))
    with pytest.raises(SinkError) as caught:
        await export(url, "s3://user:password@bucket/folder?token=hidden", tables=["incomes"])

    assert str(caught.value) == "the files cannot be written (s3://bucket/folder): PermissionError"
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not [*temporary.iterdir()]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("sftp://user:password@host/x", "sftp:// needs another package: .*paramiko"),
        ("nowhere://user:password@host/x", "nowhere:// cannot be used: ValueError"),
    ],
)
async def test_no_such_store(tmp_path: Path, place: str, problem: str):
    """A store that fsspec does not know, or cannot reach without another package, is said before anything is read."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        await export(f"sqlite:///{tmp_path}/nowhere.db", place, format="csv")

    assert "password" not in str(caught.value)


def test_without_fsspec():
    """Without fsspec the error says what to install; a folder does not need it."""
    code = (
        "import sys, asyncio; sys.modules['fsspec'] = None; from pinwheel_async.sync import export; "
        "asyncio.run(export('sqlite:///nowhere/at/all.db', sys.argv[1], format='csv'))"
    )
    for place, problem in (("s3://bucket/folder", "pip install 'pinwheel-async[fsspec]'"), ("out", "no such database")):
        done = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=False)

        assert problem in done.stderr.splitlines()[-1]


KEEPER = """
import sys
from pinwheel_async.sync._files.private_folder import PrivateFolder

folder = PrivateFolder()
folder.path.mkdir()
(folder.path / "incomes.csv").write_text("12")
print(folder.path, flush=True)
sys.stdin.read()
"""
"""A program that keeps a private folder until it is killed."""


@pytest.fixture
def keeper(temporary: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that keeps a private folder, and that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


async def test_a_killed_export_leaves_nothing_for_ever(
    pinwheel: Pinwheel, url: str, place: str, temporary: Path, keeper: tuple["subprocess.Popen[str]", Path]
):
    """What a killed export left in the temporary folder is removed by the next one, and nothing that is not its own."""
    process, folder = keeper
    process.kill()
    process.wait()
    (temporary / "pinwheel-export-mine").mkdir()
    (temporary / "pinwheel-export-file").write_text("mine")
    assert (folder / "incomes.csv").is_file()
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])

    await export(url, place)

    assert {"pinwheel-export-mine", "pinwheel-export-file"} == {path.name for path in temporary.iterdir()}


async def test_an_export_that_goes_on_is_left_alone(
    pinwheel: Pinwheel, url: str, place: str, keeper: tuple["subprocess.Popen[str]", Path]
):
    """The folder of an export that still runs stays as it is."""
    _, folder = keeper
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])

    await export(url, place)

    assert (folder / "incomes.csv").read_text() == "12"


@pytest.mark.parametrize("whose", ["link", "other user"])
def test_a_folder_that_is_not_ours(
    tmp_path: Path,
    temporary: Path,
    keeper: tuple["subprocess.Popen[str]", Path],
    monkeypatch: pytest.MonkeyPatch,
    whose: str,
):
    """Nothing is removed behind a link, nor in a folder of another user, whatever its name is."""
    process, folder = keeper
    process.kill()
    process.wait()
    if whose == "link":
        elsewhere = folder.parent.rename(tmp_path / "elsewhere")
        (temporary / "pinwheel-export-link").symlink_to(elsewhere)
        folder = elsewhere / "files"
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    PrivateFolder().close()

    assert (folder / "incomes.csv").is_file()


def test_the_folder_is_private(temporary: Path):
    """Nobody else can look into the folder, and closing it leaves nothing."""
    folder = PrivateFolder()
    folder.path.mkdir()
    (mode,) = [path.stat().st_mode & 0o777 for path in temporary.iterdir()]
    folder.close()

    assert mode == 0o700
    assert not [*temporary.iterdir()]


async def test_no_temporary_folder(pinwheel: Pinwheel, url: str, place: str, temporary: Path):
    """Where no temporary folder can be made the error says so."""
    await sync(pinwheel, SqlSink(url), products=["income"], accounts=[])
    temporary.rmdir()

    with pytest.raises(SinkError, match=r"the files cannot be written \(the temporary folder\): ENOENT"):
        await export(url, place)
