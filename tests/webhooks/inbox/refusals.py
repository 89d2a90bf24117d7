"""Errors of an inbox, and the data that they must not tell."""

import pytest

from pinwheel_async.errors import InboxError

BODY = b"PAYROLL-DATA"


async def refusal(awaitable):
    """Return what was raised, after looking that it tells no values."""
    with pytest.raises(InboxError) as caught:
        await awaitable
    error = caught.value
    assert "PAYROLL" not in f"{error!r} {error}"
    assert error.__cause__ is None
    assert error.__context__ is None
    return error
