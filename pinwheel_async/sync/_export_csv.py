"""A table as CSV, as in RFC 4180."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, BinaryIO

from sqlalchemy import Table

_QUOTED = re.compile(r'[",\r\n]')


class CsvFile:
    """Writes a line of names, then a line for each row, in UTF-8.

    Nothing is written for null; an empty text is a pair of quotation marks. Days and moments are as in ISO 8601.
    """

    def __init__(self, file: BinaryIO, table: Table) -> None:
        """Begin the file; whoever opened it closes it."""
        self._file = file
        self.write([[column.name for column in table.columns]])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows.

        Raises:
            OSError: The file cannot be written.
        """
        self._file.write("".join([f"{','.join(map(_text, row))}\r\n" for row in rows]).encode())

    def finish(self) -> None:
        """Nothing to do."""


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # or a moment
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    quoted = not value or _QUOTED.search(value)
    return '"{}"'.format(value.replace('"', '""')) if quoted else value
