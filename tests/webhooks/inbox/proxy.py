"""TCP proxy before a database, which can be cut off, or let hang."""

import asyncio
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on, while it is up."""

    def __init__(self, url):
        self.behind = urlsplit(url)
        self.server = None
        self.port = 0
        self.connections = 0
        self.hanging = False
        self.writers = set()

    @property
    def url(self):
        user = self.behind.netloc.rpartition("@")[0]
        return self.behind._replace(netloc=f"{user}@127.0.0.1:{self.port}").geturl()

    async def start(self):
        self.server = await asyncio.start_server(self.pass_on, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        """Refuse connections, and cut those that there are."""
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def pass_on(self, reader, writer):
        self.connections += 1
        with suppress(OSError):
            there, back = await asyncio.open_connection(self.behind.hostname, self.behind.port or 5432)
            self.writers |= {writer, back}
            await asyncio.gather(self.copy(reader, back), self.copy(there, writer))
        self.writers -= {writer}

    async def copy(self, reader, writer):
        with suppress(OSError):
            while (data := await reader.read(65536)) or self.hanging:
                while self.hanging:
                    await asyncio.sleep(0.01)
                writer.write(data)
        writer.close()


@asynccontextmanager
async def proxied(url):
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.hanging = False
        await proxy.stop()
