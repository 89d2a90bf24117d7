"""Key-value store in memory: small values, in the order in which they were saved last."""


class MemoryValues:
    """Keeps small values under keys in this process, as a `Store` or an `Inbox` keeps them beside their data."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def load(self, key: str) -> bytes | None:
        """Return a value; None if there is none."""
        return self._values.get(key)

    async def save(self, key: str, value: bytes | None) -> None:
        """Keep a value; None removes it."""
        self._values.pop(key, None)  # a dict keeps a key where it was first: so it goes to the end
        if value is not None:
            self._values[key] = value
