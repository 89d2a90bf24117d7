"""Report file: replaced atomically, and readable by its owner only."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from pinwheel_async.errors import ConfigurationError, PinwheelError


@contextmanager
def report_file(path: Path) -> Generator[Callable[[str], None]]:
    """Open a temporary file before the work begins, so that a path that cannot be written fails early; give the writer.

    Raises:
        ConfigurationError: The file cannot be made.
        PinwheelError: The file could be made, but not be written.
    """
    partial = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        if path.is_dir():
            raise IsADirectoryError
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot write the report to {path}: {type(error).__name__}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:

            def write(text: str) -> None:
                try:
                    file.write(f"{text}\n")
                    file.flush()
                    os.fsync(file.fileno())
                    partial.replace(path)
                except OSError as error:
                    raise PinwheelError(f"cannot write the report to {path}: {type(error).__name__}") from None

            yield write
    finally:
        partial.unlink(missing_ok=True)
