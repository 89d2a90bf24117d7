"""Servers of the tests that are processes: a port for one, and when it takes connections."""

import asyncio
import socket
from asyncio.subprocess import Process


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


async def until_listening(process: Process, port: int) -> None:
    """Wait until a process takes connections."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, "the server ended"
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
