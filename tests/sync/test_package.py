"""The package as its users meet it."""

import subprocess
import sys

import pytest

from pinwheel_async import sync


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr.splitlines()[-1] if done.stderr else done.stdout


def test_sqlalchemy_waits():
    """SQLAlchemy is imported when a sink that needs it is asked for, not before."""
    there = "print('sqlalchemy' in sys.modules)"
    code = f"import sys, pinwheel_async.sync as s; {there}; s.SqlSink; {there}"

    assert run(code) == "False\nTrue\n"


def test_without_sqlalchemy():
    """Without SQLAlchemy the error says what to install."""
    code = "import sys; sys.modules['sqlalchemy'] = None; from pinwheel_async.sync import SqlSink"

    assert run(code) == "ModuleNotFoundError: SqlSink needs SQLAlchemy: pip install 'pinwheel-async[sql]'"


def test_without_asyncpg():
    """Without the driver of PostgreSQL the error says what to install."""
    code = (
        "import sys, asyncio; sys.modules['asyncpg'] = None; from pinwheel_async.sync import SqlSink; "
        "asyncio.run(SqlSink('postgresql://u@127.0.0.1/x').open())"
    )

    assert run(code).endswith("PostgreSQL needs its driver: pip install 'pinwheel-async[postgres]'")


def test_every_public_name_is_there():
    """Every public name can be had, those that wait included; other names are an AttributeError."""
    assert all(getattr(sync, name) for name in sync.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = sync.Nothing
