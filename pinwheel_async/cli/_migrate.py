"""Command `pinwheel-async migrate`: makes tables, or brings them up to date, before programs that use them start."""

from pinwheel_async.cli._options import InboxPlace, TableNames, database_url, shared_pace
from pinwheel_async.errors import ConfigurationError

_DEFAULT = InboxPlace()


async def migrate(
    *,
    database: str | None = None,
    pace: str | None = None,
    names: TableNames | None = None,
    inbox: InboxPlace = _DEFAULT,
) -> None:
    """Make the tables of a copy, of an inbox in PostgreSQL and of a shared rate, or bring them up to date.

    Parameters
    ----------
    database:
        Where the copy is: path of a SQLite file, or URL such as postgresql://user@host/name; none when left out.
    pace:
        URL of the PostgreSQL database of a rate that processes share, as for `sync --pace`; none when left out.
    """
    if inbox.inbox is not None and inbox.file is not None:
        raise ConfigurationError("the file of an inbox is brought up to date when it is opened: give a URL, or none")
    if database is None and pace is None and inbox.file is not None:
        raise ConfigurationError("say what to bring up to date: --database, --inbox, --pace, or several of them")
    if database is not None:
        from pinwheel_async.sync import SqlSink  # noqa: PLC0415  # brings SQLAlchemy

        named = names or TableNames()
        _tell("copy", changed=await SqlSink(database_url(database), schema=named.schema, prefix=named.prefix).migrate())
    if inbox.file is None:
        from pinwheel_async.webhooks import PostgresInbox  # noqa: PLC0415  # a quarter of the import time of others

        place = PostgresInbox(inbox.place, schema=inbox.inbox_schema, pooled=inbox.pooled)
        _tell("inbox", changed=await place.migrate())
    if pace is not None:
        _tell("pace", changed=await shared_pace(pace, 1.0).migrate())  # which sets no rate


def _tell(what: str, *, changed: bool) -> None:
    print(f"{what}: {'made or brought up to date' if changed else 'up to date'}")
