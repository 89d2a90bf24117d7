"""Parquet as an extra: what happens without it, and that it waits until it is asked for."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    """Run code in a fresh interpreter and return the last line that it prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[-1]


def test_pyarrow_waits():
    """The import of pyarrow waits until it is needed."""
    code = "import sys; from pinwheel_async.sync import SqlSink, export, purge, status; print('pyarrow' in sys.modules)"

    assert run(code) == "False"


def test_a_sink_without_pyarrow():
    """Without pyarrow the error says what to install."""
    code = "import sys; sys.modules['pyarrow'] = None; from pinwheel_async.sync import ParquetSink"

    assert run(code) == "ModuleNotFoundError: ParquetSink needs pyarrow: pip install 'pinwheel-async[parquet]'"


@pytest.mark.parametrize(
    ("format", "problem"),
    [
        ("parquet", "Parquet needs pyarrow: pip install 'pinwheel-async[parquet]'"),
        ("csv", "there is no copy here: there is no such database"),
    ],
)
def test_an_export_without_pyarrow(format: str, problem: str):
    """Without pyarrow an export to Parquet says what to install; CSV does not need it."""
    code = (
        "import sys, asyncio; sys.modules['pyarrow'] = None; from pinwheel_async.sync import export; "
        f"asyncio.run(export('sqlite:///nowhere/at/all.db', 'out', format={format!r}))"
    )

    assert run(code).endswith(f"ConfigurationError: {problem}")
