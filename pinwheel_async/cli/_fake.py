"""Command `pinwheel-async fake`: a made-up Pinwheel with Link sessions and webhooks, for programs in any language."""

import sys
from datetime import date
from json import dumps
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pinwheel_async.cli._server import listening
from pinwheel_async.cli._signals import on_sigterm
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.events import EVENTS
from pinwheel_async.testing import FakePinwheel

_PATIENCE_S = 15.0
"""Real seconds for which a clock that stands still waits for a receiver: as long as the API does."""


async def fake(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8321,
    accounts: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    seed: int = 0,
    deliver_to: str | None = None,
    speed: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    today: date | None = None,
) -> None:
    """Serve a made-up Pinwheel until SIGINT (ctrl-C) or SIGTERM: the API, Link sessions, signed webhooks.

    The first line of stdout is JSON for programs: base_url and api_secret. JSON endpoints to drive it, and a page with
    buttons, are below /_fake/.

    Parameters
    ----------
    host:
        Where to listen; this machine only, unless told otherwise.
    port:
        Where to listen; 0 for a free port.
    accounts:
        How many accounts to make up, which connected before.
    seed:
        Another seed makes another world.
    deliver_to:
        URL on this machine that gets every event, signed with the API secret. Webhooks can be made over the API, too.
    speed:
        How many times as fast as real time its clock goes; 0 lets it stand still until it is advanced.
    today:
        Day on which the data ends and the clock begins; the real one when left out.
    """
    made = FakePinwheel(
        accounts=accounts, seed=seed, host=host, port=port, today=today, speed=speed or None, patience_s=_PATIENCE_S
    )
    stop = on_sigterm()
    with listening(host, port):
        await made.start()
    try:
        _subscribe(made, deliver_to)
        print(dumps({"base_url": made.base_url, "api_secret": made.api_secret}), flush=True)
        print(f"pinwheel-async: a made-up Pinwheel, driven at {made.base_url}/_fake/", file=sys.stderr, flush=True)
        await stop.wait()
    finally:
        await made.stop()


def _subscribe(made: FakePinwheel, deliver_to: str | None) -> None:
    if deliver_to is None:
        return
    try:
        made.subscribe(deliver_to, [*EVENTS])
    except ValueError as error:
        raise ConfigurationError(f"--deliver-to: {error}") from None
