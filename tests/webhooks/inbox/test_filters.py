"""Filters of deliveries: what they refuse, and how they are said."""

from datetime import UTC, datetime

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.webhooks import DeliveryFilter


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"states": "dread"}, "did you mean dead"),
        ({"states": ["dead", "x"]}, "waiting, claimed, done, dead"),
        ({"events": "pay*"}, r"paystubs\.\*"),
        ({"events": "*"}, r"paystubs\.\*"),
        ({"received_after": datetime(2026, 1, 1)}, "received_after must have an offset"),  # noqa: DTZ001
        ({"received_before": datetime(2026, 1, 1)}, "received_before must have an offset"),  # noqa: DTZ001
    ],
)
def test_senseless_filters(fields, match):
    """A state that does not exist, half a name and a moment without offset are refused with the cure."""
    with pytest.raises(ConfigurationError, match=match):
        DeliveryFilter(**fields)


def test_one_or_several():
    """States, events and ids may be given alone or as a list."""
    assert DeliveryFilter(states="dead", events="a.b", event_ids="1") == DeliveryFilter(
        states=["dead"], events=["a.b"], event_ids=["1"]
    )


@pytest.mark.parametrize(
    ("filter", "empty"),
    [
        (DeliveryFilter(), True),
        (DeliveryFilter(event_ids=[]), False),
        (DeliveryFilter(reason=""), False),
        (DeliveryFilter(received_after=datetime(2026, 1, 1, tzinfo=UTC)), False),
    ],
)
def test_empty_filter(filter, empty):
    """Only a filter that says nothing means everything."""
    assert empty is filter.is_empty
