"""The versions newer than LMDB's, in memory, so that a reader may ask for any of the last seconds.

Owns every transaction above the durable version, oldest first, and two ways into them: for each key a chain of its values, and
the ranges that were cleared (clears.py). Never reads a clock, a disk or a socket: times come in, flushing is somebody else's.

Within a transaction ranges are cleared before keys are set (settling.py), so a value is hidden by a range's clear exactly when
the clear's version is higher.

How versions map to time: nobody knows how many versions a second has, so each transaction keeps the monotonic time at which it
was applied here, and "five seconds of versions" means the transactions applied in the last five seconds.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from foreman.core.mutations import Version
from foreman.workers.storage.clears import NEVER, Clears
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.sorted_keys import SortedKeys

POINT_COST: Final = 400
"""What one value costs in memory beside its bytes, measured: the objects, its place in the chain, the key's place in the dict."""

RANGE_COST, SEGMENT_COST, BATCH_COST = 600, 16, 500


class Unknown:
    """The window has no say about this key: what LMDB holds is right."""


UNKNOWN: Final = Unknown()
Found = bytes | None | Unknown
"""A value, None for "cleared here", or UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction. ``applied_at``: monotonic seconds; ``cost``: bytes of memory, about."""

    version: Version
    applied_at: float
    cost: int
    settled: Settled


class Window:
    """All versions v with durable < v <= latest, above a base that holds the state at ``durable``."""

    def __init__(self, durable: Version) -> None:
        self.durable = durable
        self.latest = durable
        self.cost = 0
        self.chains: dict[bytes, list[Any]] = {}
        """key → [version, value, version, value, …], ascending; None is a cleared key. The fast path of GET reads it too."""
        self.clears = Clears()
        self._keys = SortedKeys(self.chains)
        self._batches: list[Batch] = []
        self._versions: list[Version] = []

    def __len__(self) -> int:
        """How many transactions are kept."""
        return len(self._batches)

    def apply(self, version: Version, settled: Settled, now: float) -> None:
        """Append one transaction. ``version`` is greater than ``latest``."""
        if version <= self.latest:
            raise ValueError(f"version {version} is not after {self.latest}")
        chains, fresh = self.chains, self._keys.add
        cost = BATCH_COST + POINT_COST * len(settled.points)
        for begin, end in settled.ranges:
            cost += RANGE_COST + SEGMENT_COST * self.clears.add(begin, end, version) + 2 * (len(begin) + len(end))
        for key, value in settled.points:
            cost += len(key) if value is None else len(key) + len(value)
            chain = chains.get(key)
            if chain is None:
                chains[key] = [version, value]
                fresh(key)
            elif chain[-2] == version:
                chain[-1] = value
            else:
                chain += (version, value)
        self._batches.append(Batch(version, now, cost, settled))
        self._versions.append(version)
        self.latest = version
        self.cost += cost

    def find(self, key: bytes, version: Version) -> Found:
        """What the window says about ``key`` at ``version``."""
        chain = self.chains.get(key)
        at = -2 if chain is None else _position(chain, version)
        cleared = NEVER if self.clears.empty else self.clears.covering(key, version)
        if chain is not None and at >= 0:
            value: bytes | None = chain[at + 1]
            return value if chain[at] >= cleared else None
        return UNKNOWN if cleared == NEVER else None

    def changed(self, begin: bytes, end: bytes | None, version: Version, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys of the range that were set or cleared one by one up to ``version``, with what they are then; ordered."""
        for key in self._keys.between(begin, end, reverse=reverse):
            found = self.find(key, version)
            if not isinstance(found, Unknown):
                yield key, found

    def gaps(self, begin: bytes, end: bytes | None, version: Version) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts of the range where the base shows through."""
        return iter(((begin, end),)) if self.clears.empty else self.clears.gaps(begin, end, version)

    def due(self, now: float, keep_s: float, keep_cost: int, at_most_cost: int) -> Version | None:
        """Up to which version to flush now; None: nothing is due.

        Due is what is older than ``keep_s``, and as much as the memory is above ``keep_cost``; of that about ``at_most_cost`` at
        once, so that no flush is long.
        """
        target, taken = None, 0
        for batch in self._batches:
            too_old = batch.applied_at <= now - keep_s
            if not (too_old or self.cost - taken > keep_cost) or (target is not None and taken + batch.cost > at_most_cost):
                break
            target, taken = batch.version, taken + batch.cost
        return target

    def oldest_applied_at(self) -> float | None:
        return self._batches[0].applied_at if self._batches else None

    def through(self, version: Version) -> list[Batch]:
        """The transactions up to ``version``, oldest first: what a flush writes."""
        return self._batches[: bisect_right(self._versions, version)]

    def drop_through(self, version: Version) -> None:
        """The base has reached ``version``: forget what it holds now."""
        gone = self.through(version)
        if gone:
            self._keys.discard(self._trimmed(gone, version))
            self.clears.forget_through(version)
            self._forget(gone, slice(None, len(gone)))
        self.durable = max(self.durable, version)
        self.latest = max(self.latest, self.durable)

    def drop_after(self, version: Version) -> None:
        """What is newer than ``version`` never happened (a recovery decided so)."""
        gone = self._batches[bisect_right(self._versions, version) :]
        if gone:
            self._keys.discard(self._shortened(gone, version))
            self.clears.forget_after(version)
            self._forget(gone, slice(len(self._batches) - len(gone), None))
        self.latest = max(self.durable, min(self.latest, version))

    def _trimmed(self, gone: Sequence[Batch], version: Version) -> list[bytes]:
        """Cut the old end off the chains of all keys in ``gone``; the keys that have none left."""
        chains, dead = self.chains, []
        for batch in gone:
            for key, _ in batch.settled.points:
                chain = chains.get(key)
                if chain is None or chain[0] > version:
                    continue
                if chain[-2] <= version:
                    del chains[key]
                    dead.append(key)
                else:
                    del chain[: _position(chain, version) + 2]
        return dead

    def _shortened(self, gone: Sequence[Batch], version: Version) -> list[bytes]:
        """Cut the new end off the chains of all keys in ``gone``; the keys that have none left."""
        chains, dead = self.chains, []
        for batch in gone:
            for key, _ in batch.settled.points:
                chain = chains.get(key)
                if chain is None:
                    continue
                del chain[_position(chain, version) + 2 :]
                if not chain:
                    del chains[key]
                    dead.append(key)
        return dead

    def _forget(self, gone: Sequence[Batch], where: slice) -> None:
        del self._batches[where]
        del self._versions[where]
        self.cost -= sum(batch.cost for batch in gone)


def _position(chain: list[Any], version: Version) -> int:
    """Where the last entry at or before ``version`` stands; -2 when there is none."""
    if chain[-2] <= version:
        return len(chain) - 2
    low, high = 0, len(chain) // 2
    while low < high:
        middle = (low + high) // 2
        if chain[2 * middle] <= version:
            low = middle + 1
        else:
            high = middle
    return 2 * low - 2
