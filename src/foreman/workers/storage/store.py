"""The multi-version store: LMDB at the durable version, the window above it, and what moves between them.

Owns the window and the order of events: a transaction is applied, later flushed, and only then forgotten in memory, in the same step
in which LMDB's readers begin to see it. Owns the gate, too: while the data is not whole nothing is read, and what lies outside the key
range is neither kept nor read. Knows no log and no client. All on the worker's loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from foreman.core.data_errors import NewerLockExists, NotLocked, NotReady, VersionTooNew, VersionTooOld
from foreman.core.mutations import Version
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.key_range import ALL_KEYS, PAST_ALL_KEYS, KeyRange
from foreman.workers.storage.layout import parse_layout
from foreman.workers.storage.settling import Point, Settled, clipped
from foreman.workers.storage.snapshot import Snapshot
from foreman.workers.storage.stored import (
    Lock,
    Refill,
    Stored,
    Unlocking,
    cleared_up_to,
    flushed_through,
    locked_by,
    page_copied,
    refill_begun,
    unlocked,
)
from foreman.workers.storage.window import Window

FLUSH_AT_ONCE: Final = 24 << 20
"""About so many bytes of the window go to disk in one LMDB transaction, or a quarter of its bound if that is less.

Measured on a catch-up of 600,000 scattered writes: with 8 MiB LMDB writes 2.8 GB, with 24 MiB 0.64 GB, since each page is written once
for more of its keys; more would keep the loop busy for too long afterwards, when the window forgets what was written.
"""


class Store:
    """``memory_bytes``: the window's bound. At half of it flushing does not wait for ``window_s``; at all of it there is no room.

    ``key_range``: what a fresh store is to hold; one that was written to knows.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        window_s: float,
        memory_bytes: int,
        key_range: KeyRange = ALL_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        if engine.stored.is_fresh:
            engine.stored = replace(engine.stored, key_range=key_range)
        self.keys = engine.stored.key_range
        self.window = Window(engine.stored.durable_version)
        self.window_s = window_s
        self._memory_bytes = memory_bytes
        self._flush_at_once = min(FLUSH_AT_ONCE, memory_bytes // 4)
        self._clock = clock
        self._locking = False
        self._room = asyncio.Event()
        self._room.set()
        self.unproven = False
        """Empty, and it is not known yet whether the logs go back to the beginning or a replica must be copied from."""
        self._set_gate()
        self.on_applied: Callable[[], None] = lambda: None
        """Called after transactions were applied or dropped, the gate opened, or a lock was taken or not."""

    @property
    def latest(self) -> Version:
        return self.window.latest

    @property
    def durable(self) -> Version:
        return self.window.durable

    @property
    def locked(self) -> bool:
        """A recovery is under way, or asked for: nothing is applied, nothing is flushed."""
        return self._locking or self.engine.stored.locked

    @property
    def refill(self) -> Refill | None:
        return self.engine.stored.refill

    @property
    def copying(self) -> bool:
        """Pages are still to come from a replica: nothing is applied before that."""
        refill = self.engine.stored.refill
        return refill is not None and refill.next is not None

    @property
    def sound_durable(self) -> Version:
        """What a director may count on: the durable version of whole data, else 0."""
        return 0 if self.refill is not None else self.window.durable

    def expect_proof(self) -> None:
        """An empty store is not served before :meth:`prove`: a replica may hold what the logs have recycled."""
        self.unproven = self.window.latest == 0 and self.refill is None
        self._set_gate()

    def prove(self) -> None:
        """A log goes back to what this store has."""
        if self.unproven:
            self.unproven = False
            self._look_whether_whole()

    def _set_gate(self) -> None:
        refill = self.refill
        self.whole = not self.unproven and (refill is None or (refill.next is None and refill.through <= self.window.latest))
        """Whether there is anything to answer reads with: then the keys from ``served_from`` to ``served_to``, else none."""
        self.served_from = self.keys.begin if self.whole else PAST_ALL_KEYS
        self.served_to = PAST_ALL_KEYS if self.keys.end is None else self.keys.end

    def _look_whether_whole(self) -> None:
        was_whole = self.whole
        self._set_gate()
        if self.whole != was_whole:
            self.on_applied()

    # Reading.

    def snapshot(self, version: Version | None) -> Snapshot:
        """The state at ``version``, or at the latest. Raises NotReady, VersionTooOld, VersionTooNew."""
        if not self.whole:
            raise NotReady
        window, refill = self.window, self.refill
        oldest = window.durable if refill is None else max(window.durable, refill.through)
        if version is None:
            version = window.latest
        elif version < oldest:
            raise VersionTooOld(oldest)
        elif version > window.latest:
            raise VersionTooNew(window.latest)
        return Snapshot(window, self.engine, version, self.keys)

    # Following.

    def apply(self, version: Version, settled: Settled) -> bool:
        """Append a transaction. False: it is here already, or a recovery or a copy forbids it."""
        if version <= self.window.latest or self.locked or self.copying:
            return False
        self.window.apply(version, clipped(settled, self.keys), self._clock())
        if not self.whole:
            self._set_gate()
        if self.window.cost >= self._memory_bytes:
            self._room.clear()
        return True

    def has_room(self) -> bool:
        return self._room.is_set()

    async def wait_for_room(self) -> None:
        """Until the window is below its bound."""
        await self._room.wait()

    # Flushing.

    def flush_target(self) -> Version | None:
        """Up to which version to flush now."""
        if self.locked:
            return None
        return self.window.due(self._clock(), self.window_s, self._memory_bytes // 2, self._flush_at_once)

    def is_pressed(self) -> bool:
        """Memory gets short: flushing need not wait for time to pass."""
        return self.window.cost > self._memory_bytes // 2

    def flush_in_s(self, grain_s: float) -> float | None:
        """When a flush will be due: seconds from now, later by ``grain_s`` so that it takes many at once; None: nothing to flush."""
        oldest = self.window.oldest_applied_at()
        if oldest is None or self.locked:
            return None
        if self.is_pressed():
            return 0.0
        return max(0.0, oldest + self.window_s + grain_s - self._clock())

    def target_of_all(self) -> Version | None:
        """As flush_target, but however new: for the end."""
        return None if self.locked else self.window.due(self._clock(), 0.0, 0, self._flush_at_once)

    async def flush(self, version: Version) -> None:
        """Move everything up to ``version`` into LMDB. Raises StorageFault: nothing moved, nothing is lost."""
        batches = self.window.through(version)
        await self.engine.write(
            [clipped(batch.settled, self.keys) for batch in batches],
            lambda stored: flushed_through(stored, version),
            lambda: self._flushed(version),
        )

    def _flushed(self, version: Version) -> None:
        self.window.drop_through(version)
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self.window.cost < self._memory_bytes:
            self._room.set()

    # Recovery.

    async def lock(self, generation: int, recovery_id: str) -> None:
        """Stop applying and flushing, durably. Raises NewerLockExists, StorageFault."""
        wanted = Lock(generation, recovery_id)
        self._locking = True
        try:
            await self.engine.write([], lambda stored: self._locked(stored, wanted))
        finally:
            self._locking = False
            self.on_applied()  # if it was in vain: who had nothing to flush meanwhile may have something again

    @staticmethod
    def _locked(stored: Stored, wanted: Lock) -> Stored:
        locked = locked_by(stored, wanted)
        if locked is None:
            assert stored.lock is not None
            raise NewerLockExists(stored.lock.generation, stored.lock.recovery_id)
        return locked

    async def unlock(self, version: Version, raw: Mapping[str, Any]) -> None:
        """Drop what is above ``version`` in memory and go on after the layout ``raw``. The same layout again is a retry and succeeds.

        Raises NotLocked, DurableVersionAhead, InvalidCommand, StorageFault.
        """
        stored, layout = self.engine.stored, parse_layout(raw)
        if not stored.locked:
            if stored.layout == raw:
                return
            raise NotLocked
        plan = unlocked(stored, version, raw, layout)
        await self.engine.write(
            [], lambda now: unlocked(now, version, raw, layout).stored, lambda: self._unlocked(plan, version), drop=plan.drop
        )

    def _unlocked(self, plan: Unlocking, version: Version) -> None:
        keys = plan.stored.key_range
        if plan.drop or not self.keys.covers(keys.begin, keys.end):
            self.window = Window(plan.stored.durable_version)
        self.window.drop_after(version)
        self.keys, self.unproven = keys, False
        self._set_gate()
        self._look_for_room()
        self.on_applied()

    # What a narrower range has left behind.

    @property
    def leftover(self) -> Sequence[KeyRange]:
        """Ranges that are not held any more and may still have data."""
        return self.engine.stored.leftover

    async def clear_some(self, at_most_keys: int, at_most_bytes: int) -> None:
        """Delete a piece of the first leftover range. Raises StorageFault: nothing was deleted."""
        part = self.leftover[0]
        keys, next_key = self.engine.first_keys(part.begin, part.end, at_most_keys, at_most_bytes)
        await self.engine.write([Settled((), [(key, None) for key in keys])], lambda stored: cleared_up_to(stored, part, next_key))

    # Copying from a replica.

    async def begin_refill(self, first: Version) -> None:
        """Drop all data; a copy begins after which the logs go on from ``first``. Raises StorageFault."""
        self._locking = True  # no flush of what is dropped may come after
        try:
            await self.engine.write([], lambda stored: refill_begun(stored, first), lambda: self._emptied(first), drop=True)
        finally:
            self._locking = False
            self.on_applied()

    def _emptied(self, first: Version) -> None:
        self.window, self.unproven = Window(first), False
        self._set_gate()
        self._look_for_room()

    async def take_page(self, points: Sequence[Point], next_key: bytes | None, through: Version) -> None:
        """The next page, read at ``through`` or before; ``next_key`` None: it was the last. Raises StorageFault."""
        size_bytes = sum(len(key) + len(value or b"") for key, value in points)
        await self.engine.write(
            [Settled((), points)],
            lambda stored: page_copied(stored, len(points), size_bytes, next_key, through),
            self._look_whether_whole,
        )
