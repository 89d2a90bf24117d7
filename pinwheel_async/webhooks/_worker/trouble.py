"""Trouble that goes on: logged when it begins, and once a minute as long as it stays the same."""

REPEAT_S = 60.0
"""Seconds between two lines about the same trouble: often enough for whoever looks, too seldom to fill a disk."""


class Trouble:
    """Tells whether what goes wrong again and again is to be logged."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._logged_at = 0.0

    def is_news(self, text: str, now: float) -> bool:
        """Return whether to log a trouble: it is another one than before, or was logged a minute ago.

        Args:
            text: What is wrong.
            now: Seconds by a monotonic clock.
        """
        if text == self._text and now - self._logged_at < REPEAT_S:
            return False
        self._text, self._logged_at = text, now
        return True

    def end(self) -> bool:
        """Note that nothing is wrong; return whether something was."""
        text, self._text = self._text, None
        return text is not None
