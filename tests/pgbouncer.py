"""PgBouncer in transaction mode, in front of a database of the tests."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from .servers import free_port, until_listening

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_SETTINGS = """
[databases]
* = host={host} port={port} {login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""
"""Two connections to the server for all clients, so that they take turns on them."""


@asynccontextmanager
async def pgbouncer(url: str) -> AsyncIterator[str]:
    """Start it; give the URL of the database behind it."""
    behind = make_url(url)
    port = free_port()
    login = f"user={behind.username}" + (f" password={behind.password}" if behind.password else "")
    assert PROGRAM is not None
    with TemporaryDirectory() as folder:  # the folders above pytest's own are closed to other users
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(_SETTINGS.format(host=behind.host, port=behind.port or 5432, login=login, listen_port=port))
        settings.chmod(0o644)
        settings.parent.chmod(0o755)
        user = {"user": "nobody"} if os.geteuid() == 0 else {}  # it does not run as root
        process = await asyncio.create_subprocess_exec(PROGRAM, "-q", str(settings), **user)
        try:
            await until_listening(process, port)
            yield behind.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
