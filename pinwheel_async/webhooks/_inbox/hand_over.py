"""Hand-over of deliveries: what is put goes to the worker of the same process from memory, without being claimed.

The file alone says what is so, as if the worker had claimed: a delivery that is handed over is stored as claimed, or
behind the one of its ordering key that is. What is in memory may be lost or dropped at any time, then leases end and
others go on. So nothing that reads, counts, purges or encrypts has to know of the hand-over.

A chain is what was handed over of one ordering key and is not marked yet, oldest first. The first is claimed in the
file; a lease on it is one on the whole chain. The others stand behind it, like any that wait, and each is claimed in
the transaction that marks the one before it as done. While a chain is open there is nothing else unfinished of its key,
so what comes next may be handed over, too. It is closed, and only shortened from then on, once something of its key may
have been stored that was not handed over.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from attrs import define, field

from pinwheel_async._privacy import Discreet
from pinwheel_async.webhooks._inbox.base import Claim

BEGIN_WITHIN_S = 0.1
"""Seconds within which what was claimed in chains begins, or is left to the next claim. Whoever purges waits for as
long before it says so, as what it has purged may be in the memory of other processes."""


@define(eq=False, repr=False)  # not frozen: one is made for each delivery, in less than half of the time
class Handed(Discreet):
    """A delivery that is handed over."""

    claim: Claim
    seq: int
    """Number of its row."""
    ends_at: float
    """When its lease ends, by the clock of the worker."""
    is_first: bool
    """Whether it is claimed already, and begins a chain; else it is, if all goes well, when the one before it is
    marked."""
    begin_by: float = math.inf
    """Until when it may begin, by the clock of the worker: what others have done to it since then is not known."""


class ChainLink(NamedTuple):
    """A delivery of a chain that was claimed."""

    claim: Claim
    seq: int
    """Number of its row."""


class Taker(Protocol):
    """Worker that takes deliveries from memory."""

    lease_s: float

    def lease_end(self) -> float:
        """Return when a lease ends that begins now; called in the thread of the inbox."""
        ...

    def room(self) -> tuple[int, int]:
        """Return how many deliveries, with how many bytes, it can take; called in the thread of the inbox."""
        ...

    def queued(self) -> int:
        """Return how many deliveries that are claimed wait in memory; called in the thread of the inbox."""
        ...

    def take(self, handed: Sequence[Handed]) -> None:
        """Take what was stored."""
        ...

    def drop(self, seqs: Sequence[int]) -> None:
        """Forget deliveries that were purged or claimed by others, as far as their handlers have not begun."""
        ...


class Chain(NamedTuple):
    """Rows of one ordering key that were handed over and are not marked yet, with their fencing tokens."""

    rows: tuple[tuple[int, int], ...] = ()
    is_open: bool = False


@define(eq=False, repr=False)
class Committed(Discreet):
    """What the transactions of a group have brought for the worker."""

    handed: list[Handed] = field(factory=list[Handed])
    taker: Taker | None = None
    """Who is to have that."""
    dropped: list[int] = field(factory=list[int])
    """Rows that were handed over and are not ours any more."""
    has_due: bool = False
    """Whether something is due that was not handed over."""


class HandOver:
    """What was handed over by one inbox. It outlives the connection, which is made anew after trouble.

    The thread of the inbox alone uses it, but for *taker*.
    """

    def __init__(self) -> None:
        self.taker: Taker | None = None
        self.unfinished = 0
        """Rows in all chains."""
        self.pending = Committed()
        """What the transaction that is under way brings."""
        self.orphans: list[tuple[int, int]] = []
        """First and last of the tokens given by transactions that failed: a commit that reports an error may have been
        carried out, and nobody has in memory what it has claimed."""
        self._owner: Taker | None = None
        """Who has the chains in memory."""
        self._chains: dict[str, Chain] = {}
        self._before: dict[str, Chain | None] = {}
        """What the chains were before the transaction that is under way, where it has changed them."""
        self._committed = Committed()

    def get(self, key: str) -> Chain | None:
        """Return the chain of an ordering key."""
        return self._chains.get(key)

    def chains(self) -> list[tuple[str, Chain]]:
        """Return all chains, with their ordering keys."""
        return list(self._chains.items())

    def give_to(self, taker: Taker) -> None:
        """Let what is handed over go to a worker; if it went to another one, what follows that stays in the file."""
        if self._owner is not taker:
            self.close_all()
            self._owner = taker
        self.pending.taker = taker

    def append(self, key: str, seq: int, token: int) -> None:
        """Lengthen a chain, or begin one."""
        chain = self._chains.get(key) or Chain()
        self.set(key, Chain((*chain.rows, (seq, token)), is_open=True))

    def set(self, key: str, chain: Chain | None) -> None:
        """Change a chain; one without rows is none."""
        before = self._chains.get(key)
        self._before.setdefault(key, before)
        self.unfinished -= 0 if before is None else len(before.rows)
        if chain is None or not chain.rows:
            self._chains.pop(key, None)
        else:
            self._chains[key] = chain
            self.unfinished += len(chain.rows)

    def end(self, key: str) -> None:
        """End a chain, if there is one; the worker knows, or will be told by what comes of its mark."""
        if key in self._chains:
            self.set(key, None)

    def close(self, key: str) -> None:
        """Let a chain not become longer."""
        chain = self._chains.get(key)
        if chain is not None:
            self.set(key, chain._replace(is_open=False))

    def close_all(self) -> None:
        """Let no chain become longer."""
        for key, _ in self.chains():
            self.close(key)

    def forget(self, key: str, seqs: Sequence[int]) -> None:
        """Forget rows of a key that are gone, and the chain if its first is one of them."""
        chain = self._chains.get(key)
        if chain is None:
            return
        gone = set(seqs)
        is_lost = chain.rows[0][0] in gone
        self.pending.dropped += [seq for seq, _ in chain.rows if is_lost or seq in gone]
        self.set(key, None if is_lost else Chain(tuple([row for row in chain.rows if row[0] not in gone])))

    def commit(self) -> None:
        """Keep what a transaction has brought, which is durable now."""
        self._before.clear()
        self.orphans.clear()
        pending, self.pending, committed = self.pending, Committed(), self._committed
        committed.handed += pending.handed
        committed.taker = committed.taker if pending.taker is None else pending.taker
        committed.dropped += pending.dropped
        committed.has_due = committed.has_due or pending.has_due

    def rollback(self) -> None:
        """Take back what a transaction has changed. It may have been carried out all the same."""
        for key, chain in self._before.items():
            self.set(key, chain)
        self._before.clear()
        tokens = [handed.claim.token for handed in self.pending.handed]
        if tokens:
            self.orphans.append((min(tokens), max(tokens)))
        self.pending = Committed()
        self.close_all()

    def collect(self) -> Committed:
        """Return what was committed since the last call."""
        committed, self._committed = self._committed, Committed()
        return committed
