"""A caller that sends nothing: it keeps what it was asked to send and answers what the test gave it."""

from collections.abc import Iterable
from typing import Any

import pytest

from pinwheel_async._core.endpoint import Endpoint
from pinwheel_async._core.wire import Request


class RecordingCaller:
    """Stands where the network would be."""

    def __init__(self) -> None:
        self.sent: list[tuple[Endpoint[Any], Request]] = []
        self.answers: list[Any] = []

    def will(self, answers: Iterable[Any]) -> None:
        """Answer these, one per call; an exception is raised."""
        self.answers = list(answers)

    async def call(self, row: Endpoint[Any], request: Request) -> Any:
        """Keep the request and answer it."""
        self.sent.append((row, request))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def request(self) -> Request:
        """The last request."""
        return self.sent[-1][1]


@pytest.fixture
def caller() -> RecordingCaller:
    return RecordingCaller()
