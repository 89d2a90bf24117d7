"""Set-up of SQLite files: who can read a new one, and how long switching to the write-ahead log may take."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from threading import Timer

import pytest

from pinwheel_async._sqlite import create_private, use_wal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.db"


def test_new_file(path):
    """A new file can be read and written by its owner only."""
    create_private(path)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_file_that_exists(path):
    """A file that exists is left as it is, with whatever rights it has."""
    path.write_bytes(b"something")
    path.chmod(0o644)
    create_private(path)

    assert (b"something", 0o644) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def test_file_that_is_open_keeps_its_locks(path):
    """A transaction that is open on the file goes on keeping other processes out."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        create_private(path)
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)

    assert "database is locked" in other.stderr


def test_link_to_a_file_that_does_not_exist(path, tmp_path):
    """Where a link leads to no file yet, the file that it names is created for its owner only."""
    path.symlink_to(tmp_path / "target.db")
    create_private(path)

    assert 0o600 == stat.S_IMODE((tmp_path / "target.db").stat().st_mode)


def test_folder_that_does_not_exist(tmp_path):
    """A file that cannot be created is an error."""
    with pytest.raises(FileNotFoundError):
        create_private(tmp_path / "nowhere" / "some.db")


def test_log(path):
    """A file gets the log; a database in memory has none."""
    with closing(sqlite3.connect(path)) as file, closing(sqlite3.connect(":memory:")) as memory:
        assert (True, False) == (use_wal(file, timeout_s=0), use_wal(memory, timeout_s=0))


def test_busy_for_a_while(path):
    """Another process that holds the file is waited for, although this statement does not wait by itself."""
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
        closing(sqlite3.connect(path)) as connection,
    ):
        other.execute("BEGIN IMMEDIATE")
        release = Timer(0.05, other.execute, ["ROLLBACK"])
        release.start()

        assert use_wal(connection, timeout_s=30)
        release.join()


def test_busy_for_too_long(path):
    """Waiting has an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(sqlite3.connect(path)) as connection:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            use_wal(connection, timeout_s=0.02)


def test_journal_that_cannot_be_changed(path):
    """What will never come is not waited for."""
    sqlite3.connect(path).close()
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        use_wal(connection, timeout_s=30)
