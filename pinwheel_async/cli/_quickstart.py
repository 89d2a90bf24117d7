"""Command `pinwheel-async quickstart`: the example application, against a made-up Pinwheel or the sandbox."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._server import serving
from pinwheel_async.cli._signals import on_sigterm
from pinwheel_async.client import Pinwheel
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.quickstart import LINK_SCRIPT, quickstart_app
from pinwheel_async.quickstart.app import WEBHOOKS
from pinwheel_async.settings import find_secret
from pinwheel_async.testing import FakePinwheel

_PATIENCE_S = 30.0


async def quickstart(
    *,
    live: bool = False,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8000,
    folder: Path | None = None,
    speed: Annotated[float, Parameter(validator=Number(gt=0))] = 5.0,
) -> None:
    """Connect with Link in the browser, and see webhooks arrive and paystubs appear: no key, no network.

    Parameters
    ----------
    live:
        Use the real sandbox, with the key from the variable PINWHEEL_API_SECRET. Webhooks reach it only through a
        public URL of yours; without one the data is looked up every five seconds.
    port:
        Where the page is, on this machine; 0 for a free port.
    folder:
        Existing folder for the SQLite files, so that a restart shows the same; without it they go with the program.
        Only with --live: a made-up Pinwheel begins anew each time.
    speed:
        How many times as fast as real time a made-up Pinwheel goes on.
    """
    if folder is not None and not live:
        raise ConfigurationError("--folder goes with --live: a made-up Pinwheel begins anew each time")
    stop = on_sigterm()
    with TemporaryDirectory() as temporary:
        async with _live(folder or Path(temporary), port) if live else _made_up(Path(temporary), port, speed) as url:
            print(f"pinwheel-async: open {url}", file=sys.stderr, flush=True)
            await stop.wait()


@asynccontextmanager
async def _live(folder: Path, port: int) -> AsyncGenerator[str]:
    secret = find_secret(None)
    # Always the sandbox, whatever the variables say: the page is not made to guard real people's data.
    client = Pinwheel(secret, environment="sandbox")
    app = quickstart_app(client, api_secret=secret, folder=folder, link_script=LINK_SCRIPT)
    async with serving(app, port=port) as url:
        yield url


@asynccontextmanager
async def _made_up(folder: Path, port: int, speed: float) -> AsyncGenerator[str]:
    async with FakePinwheel(accounts=3, speed=speed, patience_s=_PATIENCE_S) as fake:
        script = f"{fake.base_url}/_fake/link.js"
        client = Pinwheel(fake.api_secret, base_url=fake.base_url)
        app = quickstart_app(client, api_secret=fake.api_secret, folder=folder, link_script=script)
        async with serving(app, port=port) as url:
            fake.subscribe(f"{url}{WEBHOOKS}")
            yield url
