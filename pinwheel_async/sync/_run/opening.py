"""Opening of a sink that gives up when the run is asked to stop, and its closing after a failure."""

import asyncio
import logging

from pinwheel_async.errors import SinkError
from pinwheel_async.sync._run import work_queue
from pinwheel_async.sync._sink import Sink

logger = logging.getLogger("pinwheel_async.sync")


async def open_sink(sink: Sink, stop: asyncio.Event | None) -> None:
    """Open a sink; if the run is asked to stop meanwhile, wait no longer than for its last pages.

    To make tables, or to build an index, has no limit of its own: a server that says nothing may be at work.

    Raises:
        SinkError: It did not open in time.
    """
    if stop is None:
        await sink.open()
        return
    opening, stopping = asyncio.create_task(sink.open()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({opening}, timeout=work_queue.STOP_S)
        if not opening.done():
            raise SinkError("the sink did not open", reason="the sink does not answer")  # noqa: TRY301  # as if it had
        opening.result()
    except BaseException:
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:  # it was just open
            await close_after_failure(sink)
        raise
    finally:
        stopping.cancel()


async def close_after_failure(sink: Sink) -> None:
    """Close a sink; what ended the run before goes before what fails here."""
    try:
        await sink.close(complete=False)
    except Exception as error:  # noqa: BLE001  # what ended the run is what the caller has to see
        logger.warning(
            "the sink of a failed sync did not close: %s", type(error).__name__, extra={"event": "sync_sink_not_closed"}
        )
