"""Recording caller: it sends nothing, keeps what it was asked to send, and answers what the test gave it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.wire import Request, SignedLink


class RecordingCaller:
    """Stands where the network would be."""

    def __init__(self) -> None:
        self.sent: list[tuple[Endpoint[Any], Request]] = []
        self.options: list[dict[str, Any]] = []
        self.answers: list[Any] = []

    def will(self, answers: Iterable[Any]) -> None:
        """Answer these, one per call; an exception is raised."""
        self.answers = list(answers)

    async def call(self, row: Endpoint[Any], request: Request, **options: Any) -> Any:
        """Keep the request and answer it."""
        self.sent.append((row, request))
        self.options.append(options)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def download(self, link: SignedLink, path: Path | None) -> bytes | int:
        """Refuse to: there is no network."""
        raise AssertionError

    @property
    def request(self) -> Request:
        """The last request."""
        return self.sent[-1][1]


@pytest.fixture
def caller() -> RecordingCaller:
    return RecordingCaller()
