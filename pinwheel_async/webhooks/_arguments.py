"""Arguments of receivers, workers and inboxes, refused by name where they are of another kind or out of range."""

from pinwheel_async._core.arguments import is_at_least, is_more_than, wrong
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import LATEST_VERSION
from pinwheel_async.webhooks._router import Router


def check_arguments(router: object, retry: object, version: object, **callbacks: object) -> None:
    """Refuse what is of another kind; the handlers may be those of a router only.

    Raises:
        ConfigurationError: Something is.
    """
    if not isinstance(router, Router):
        raise ConfigurationError(wrong("router", "a Router with the handlers", router))
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(wrong("retry", "a RetryPolicy, such as RetryPolicy(attempts=3)", retry))
    if version is not None and not isinstance(version, str):
        raise ConfigurationError(wrong("version", f"a date as text, such as {LATEST_VERSION}", version))
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise ConfigurationError(wrong(name, "a function", callback))


def check_at_least(least: int, **numbers: float | None) -> None:
    """Refuse what is no number, or less than *least*; None is left alone.

    Raises:
        ConfigurationError: Something is.
    """
    for name, number in numbers.items():
        if number is not None and not is_at_least(number, least):
            raise ConfigurationError(wrong(name, f"a number of at least {least}", number))


def check_more_than_0(**numbers: float | None) -> None:
    """Refuse what is no number, or not more than 0; None is left alone.

    Raises:
        ConfigurationError: Something is.
    """
    for name, number in numbers.items():
        if number is not None and not is_more_than(number, 0):
            raise ConfigurationError(wrong(name, "a number of more than 0", number))
