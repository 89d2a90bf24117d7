"""Brokers of the tests: a NATS server with JetStream and a RabbitMQ node, each in a folder that it is given."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .servers import free_port, until_listening

NATS = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Not the one on PATH, which insists on a user and on a folder of its own.
RABBITMQ = next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"), None)


@asynccontextmanager
async def nats_server(folder: Path, port: int) -> AsyncIterator[str]:
    """Run it for a block, which is given its URL; what it stored stays in the folder."""
    assert NATS is not None
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    process = await asyncio.create_subprocess_exec(NATS, *arguments, stderr=DEVNULL, start_new_session=True)
    async with _running(process, port):
        yield f"nats://127.0.0.1:{port}"


@asynccontextmanager
async def rabbitmq(folder: Path, port: int) -> AsyncIterator[str]:
    """Run it for a block, which is given its URL."""
    settings, plugins = folder / "rabbitmq.conf", folder / "enabled_plugins"
    settings.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.file = false\n")
    plugins.write_text("[].\n")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"pinwheel_async_{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
    }
    assert RABBITMQ is not None
    process = await asyncio.create_subprocess_exec(
        RABBITMQ, env=variables, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    async with _running(process, port):
        yield f"amqp://guest:guest@127.0.0.1:{port}/"


@asynccontextmanager
async def _running(process: Process, port: int) -> AsyncIterator[None]:
    """Wait until it takes connections, and end it with all that it started after the block."""
    try:
        await until_listening(process, port)
        yield
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
