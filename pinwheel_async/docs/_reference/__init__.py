"""Pages of the reference, each made from the code it describes."""

from collections.abc import Callable, Mapping
from functools import partial

from pinwheel_async.docs._reference.api import api_page
from pinwheel_async.docs._reference.command_line import command_line_page
from pinwheel_async.docs._reference.endpoints import endpoints_page
from pinwheel_async.docs._reference.events import events_page, link_events_page
from pinwheel_async.docs._reference.exceptions import exceptions_page
from pinwheel_async.docs._reference.logs import logs_page
from pinwheel_async.docs._reference.metrics import metrics_page
from pinwheel_async.docs._reference.models import models_page
from pinwheel_async.docs._reference.settings import settings_page
from pinwheel_async.docs._reference.tables import tables_page

REFERENCE: Mapping[str, Callable[[], str]] = {
    "endpoints": endpoints_page,
    "events": events_page,
    "link-events": link_events_page,
    "models": models_page,
    "tables": tables_page,
    "command-line": command_line_page,
    "settings": settings_page,
    "metrics": metrics_page,
    "logs": logs_page,
    "exceptions": exceptions_page,
    "client": partial(api_page, "pinwheel_async"),
    "webhooks": partial(api_page, "pinwheel_async.webhooks"),
    "sync": partial(api_page, "pinwheel_async.sync"),
    "testing": partial(api_page, "pinwheel_async.testing"),
    "converters": partial(api_page, "pinwheel_async.converters"),
    "otel": partial(api_page, "pinwheel_async.otel"),
    "quickstart": partial(api_page, "pinwheel_async.quickstart"),
    "docs": partial(api_page, "pinwheel_async.docs"),
}
"""Every generated page, by the name of its file in the folder `reference`."""
