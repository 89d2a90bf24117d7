"""Refusals: counted by reason, logged at a bounded rate, and told to a hook."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Literal, TypeAlias

from pinwheel_async.webhooks._hooks import Hook, Hooks

_log = logging.getLogger("pinwheel_async.webhooks")

SUMMARY_S = 60.0
"""Seconds between two summaries in the log. The first refusal of each reason is logged at once, so that a cause is seen
when it begins; the others are counted, so that a flood, which anybody can send, does not fill the disk."""

RefusalReason: TypeAlias = Literal[
    "signature_missing",
    "signature_malformed",
    "signature_wrong",
    "signature_stale",
    "signature_early",
    "body_consumed",
    "body_broken",
    "body_late",
    "body_too_large",
    "encoding_unreadable",
    "secrets_not_renewed",
    "overloaded",
    "not_open",
    "not_stored",
    "not_stored_in_time",
    "handler_failed",
]
"""Why a delivery was not answered 200. What begins with `signature_` is answered 401, `handler_failed` 500, all others
503: those may be authentic, and the sender repeats them."""

ADVICE: Mapping[RefusalReason, str] = {
    "signature_missing": "not sent by Pinwheel, or something in between drops headers",
    "signature_malformed": "not sent by Pinwheel, or something in between changes headers",
    "signature_wrong": "signed with none of the secrets; if it goes on, compare them with those of the dashboard",
    "signature_stale": "signed longer ago than max_age_s",
    "signature_early": "signed in the future: is the clock of this machine right?",
    "body_consumed": "a middleware has read the body and kept nothing: let it use `await request.read()`, with a "
    "client_max_size of the application that is large enough, or pass these requests on unread",
    "body_broken": "the body broke off, or its encoding could not be read",
    "body_late": "the body did not come within read_timeout_s",
    "body_too_large": "it is longer than max_body_bytes: raise that",
    "encoding_unreadable": "its content-encoding cannot be read or verified: let nothing in between compress, or let "
    "the server pass bodies on as they are, with `auto_decompress=False` of web.AppRunner",
    "secrets_not_renewed": "signed with none of the secrets, and perhaps with a new one: the function for secrets "
    "failed, or was asked a moment before",
    "overloaded": "so much is being read and stored that max_buffered_bytes is reached",
    "not_open": "the receiver has not started, has stopped, or waits for its inbox to be let go",
    "not_stored": "the inbox failed",
    "not_stored_in_time": "the inbox did not answer in time: does its disk hang?",
    "handler_failed": "a handler failed, and there is no inbox",
}

_FROM_OUTSIDE = {"body_broken", "body_late", "secrets_not_renewed"}
"""Reasons that anybody on the network can cause; the others that are not answered 401 need somebody to look."""


class Refusals:
    """Notes every delivery that is not answered 200."""

    def __init__(self, hooks: Hooks, on_refused: Hook | None) -> None:
        self.counts: Counter[RefusalReason] = Counter()
        """How many there were, by reason, since this object was made."""
        self._hooks = hooks
        self._on_refused = on_refused
        self._logged: set[RefusalReason] = set()
        """Reasons of which one was logged since the last pause."""
        self._held_back: Counter[RefusalReason] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, reason: RefusalReason, status: int, detail: str = "") -> None:
        """Count a refusal, log it or keep it for the next summary, and tell the hook.

        Args:
            reason: Why it is refused.
            status: What it is answered.
            detail: More for the log: ids of events and kinds of errors, never a value.
        """
        self.counts[reason] += 1
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the timer of an earlier loop never fires
            self._loop, self._timer = loop, None
            self._logged.clear()
        if reason in self._logged:
            self._held_back[reason] += 1
        else:
            self._logged.add(reason)
            _log.log(level_of(reason), "refused a delivery: %d %s: %s", status, reason, detail or ADVICE[reason])
            if self._timer is None:
                self._timer = loop.call_later(SUMMARY_S, self._summarize)
        self._hooks.call("on_refused", self._on_refused, reason, status)

    def close(self) -> None:
        """Log what was held back, and forget what was logged."""
        self._log_held_back()
        self._logged.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _summarize(self) -> None:
        """Log a summary; after a minute in which there was nothing to be told, the next refusal is logged at once."""
        self._timer = None
        if self._held_back:
            self._log_held_back()
            self._timer = asyncio.get_running_loop().call_later(SUMMARY_S, self._summarize)
        else:
            self._logged.clear()

    def _log_held_back(self) -> None:
        if self._held_back:
            level = max(map(level_of, self._held_back))
            counts = ", ".join(f"{reason} {count}" for reason, count in self._held_back.most_common())
            _log.log(level, "refused %d more deliveries: %s", self._held_back.total(), counts)
            self._held_back.clear()


def level_of(reason: RefusalReason) -> int:
    return logging.WARNING if reason.startswith("signature_") or reason in _FROM_OUTSIDE else logging.ERROR
