"""The version of this library, as its metadata has it."""

from functools import cache


@cache
def library_version() -> str:
    """Return the installed version, or `0+unknown` in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # 10 ms that few need

    try:
        return version("pinwheel-async")
    except PackageNotFoundError:
        return "0+unknown"
