"""Store of the example: which accounts belong to a visitor, and what happened, in a SQLite file."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiosqlite
from aiohttp import web
from attrs import frozen

_TABLES = """
CREATE TABLE IF NOT EXISTS account (account_id TEXT PRIMARY KEY, end_user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY, end_user_id TEXT NOT NULL, at TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""


@frozen(kw_only=True)
class LogLine:
    """Something that happened to a visitor: an event of Link, or a webhook."""

    number: int
    at: str
    source: str
    name: str
    detail: str


class Store:
    """Keeps what a reload of the page, or a restart of the program, must not lose.

    Args:
        path: The file; it is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._database = aiosqlite.connect(path)

    async def cleanup_ctx(self, _: web.Application) -> AsyncIterator[None]:
        """Open and close the file with the application."""
        async with self._database:
            await self._database.executescript(_TABLES)
            yield

    async def add_account(self, end_user_id: str, account_id: str) -> None:
        """Remember whose an account is; nothing happens if that is known."""
        await self._database.execute("INSERT OR IGNORE INTO account VALUES (?, ?)", (account_id, end_user_id))
        await self._database.commit()

    async def accounts(self, end_user_id: str) -> list[str]:
        """Return the accounts of a visitor, in the order in which they were connected."""
        query = "SELECT account_id FROM account WHERE end_user_id = ? ORDER BY rowid"
        rows = await self._database.execute_fetchall(query, (end_user_id,))
        return [str(row[0]) for row in rows]

    async def add_line(self, end_user_id: str, source: str, name: str, detail: str) -> LogLine:
        """Remember that something happened now."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        cursor = await self._database.execute(
            "INSERT INTO log (end_user_id, at, source, name, detail) VALUES (?, ?, ?, ?, ?)",
            (end_user_id, at, source, name, detail),
        )
        await self._database.commit()
        return LogLine(number=cursor.lastrowid or 0, at=at, source=source, name=name, detail=detail)

    async def lines(self, end_user_id: str) -> list[LogLine]:
        """Return what happened to a visitor, oldest first."""
        query = "SELECT number, at, source, name, detail FROM log WHERE end_user_id = ? ORDER BY number"
        rows = await self._database.execute_fetchall(query, (end_user_id,))
        return [LogLine(number=row[0], at=row[1], source=row[2], name=row[3], detail=row[4]) for row in rows]
