"""The multi-version store: LMDB at the durable version, the window above it, and what moves between them.

Owns the window and the order of events: a transaction is applied, later flushed, and only then forgotten in memory, in the same step
in which LMDB's readers begin to see it. Knows no log and no client. All on the worker's loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from foreman.core.data_errors import NewerLockExists, NotLocked, VersionTooNew, VersionTooOld
from foreman.core.mutations import Version
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.snapshot import Snapshot
from foreman.workers.storage.stored import Lock, Stored, locked_by, unlocked
from foreman.workers.storage.window import Window

FLUSH_AT_ONCE: Final = 24 << 20
"""About so many bytes of the window go to disk in one LMDB transaction, or a quarter of its bound if that is less.

Measured on a catch-up of 600,000 scattered writes: with 8 MiB LMDB writes 2.8 GB, with 24 MiB 0.64 GB, since each page is written once
for more of its keys; more would keep the loop busy for too long afterwards, when the window forgets what was written.
"""


class Store:
    """``memory_bytes``: the window's bound. At half of it flushing does not wait for ``window_s``; at all of it there is no room."""

    def __init__(self, engine: Engine, *, window_s: float, memory_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine = engine
        self.window = Window(engine.stored.durable_version)
        self.window_s = window_s
        self._memory_bytes = memory_bytes
        self._flush_at_once = min(FLUSH_AT_ONCE, memory_bytes // 4)
        self._clock = clock
        self._locking = False
        self._room = asyncio.Event()
        self._room.set()
        self.on_applied: Callable[[], None] = lambda: None
        """Called after transactions were applied or dropped."""

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

    # Reading.

    def get_latest(self, key: bytes) -> bytes | None:
        """The fast path: the value at the latest version."""
        window = self.window
        if window.clears.empty:
            chain = window.chains.get(key)
            if chain is None:
                return self.engine.get(key)
            value: bytes | None = chain[-1]
            return value
        return Snapshot(window, self.engine, window.latest).get(key)

    def snapshot(self, version: Version | None) -> Snapshot:
        """The state at ``version``, or at the latest. Raises VersionTooOld, VersionTooNew."""
        window = self.window
        if version is None:
            version = window.latest
        elif version < window.durable:
            raise VersionTooOld(window.durable)
        elif version > window.latest:
            raise VersionTooNew(window.latest)
        return Snapshot(window, self.engine, version)

    # Following.

    def apply(self, version: Version, settled: Settled) -> bool:
        """Append a transaction. False: it is here already, or a recovery forbids it."""
        if version <= self.window.latest or self.locked:
            return False
        self.window.apply(version, settled, self._clock())
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
            [batch.settled for batch in batches],
            lambda stored: replace(stored, durable_version=version),
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

    @staticmethod
    def _locked(stored: Stored, wanted: Lock) -> Stored:
        locked = locked_by(stored, wanted)
        if locked is None:
            assert stored.lock is not None
            raise NewerLockExists(stored.lock.generation, stored.lock.recovery_id)
        return locked

    async def unlock(self, version: Version, layout: Mapping[str, Any]) -> None:
        """Drop what is above ``version`` and go on after ``layout``. Raises NotLocked, StorageFault.

        What LMDB holds already cannot be dropped; it was read from logs that a recovery copies whole. The same layout again is a
        retry and succeeds.
        """
        stored = self.engine.stored
        if not stored.locked:
            if stored.layout == layout:
                return
            raise NotLocked
        await self.engine.write([], lambda stored: unlocked(stored, layout), lambda: self.window.drop_after(version))
        self._look_for_room()
        self.on_applied()
