"""Version of the installed library. Reading it takes 10 ms: import this where the version is needed, not on top."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pinwheel-async")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
