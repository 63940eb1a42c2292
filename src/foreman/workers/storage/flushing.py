"""The task that moves the window's old end to disk, in time, and keeps trying when the disk says no.

Owns when to flush, and whether the disk is well. A fault stops nothing but flushing: reads and pulls go on until the window is full,
and the first flush that works again makes all well.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from foreman.core.data_errors import StorageFault
from foreman.workers.storage.store import Store

FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 5.0


class Flusher:
    """``report`` is told when the disk fails, and (None) when it works again."""

    def __init__(self, store: Store, report: Callable[[StorageFault | None], None], on_flushed: Callable[[], None]) -> None:
        self._store, self._report, self._on_flushed = store, report, on_flushed
        self._grain_s = min(0.5, 0.02 + store.window_s / 10)
        self._wake = asyncio.Event()
        self._idle = self._stopping = False
        self._retry_s = 0.0

    def applied(self) -> None:
        """Something was applied: worth waking only for the first of a window, or when memory gets short."""
        if self._idle or (not self._retry_s and self._store.is_pressed()):
            self._wake.set()

    async def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._stopping:
            target = self._store.flush_target() if self._due() else None
            if target is None:
                await self._sleep(self._store.flush_in_s(self._grain_s))
            elif not await self._flush(target):
                await self._sleep_whatever_comes(self._retry_s)

    async def stop(self, running: asyncio.Task[None]) -> bool:
        """End :meth:`run`, then flush everything. Whether all is on disk."""
        self._stopping = True
        self._wake.set()
        await running
        while (target := self._store.target_of_all()) is not None:
            if not await self._flush(target):
                return False
        return True

    def _due(self) -> bool:
        due_in_s = self._store.flush_in_s(self._grain_s)
        return due_in_s is not None and due_in_s <= 0

    async def _flush(self, version: int) -> bool:
        try:
            await self._store.flush(version)
        except StorageFault as fault:
            self._retry_s = min(LAST_RETRY_S, 2 * self._retry_s or FIRST_RETRY_S)
            self._report(fault)
            return False
        if self._retry_s:
            self._retry_s = 0.0
            self._report(None)
        self._on_flushed()
        return True

    async def _sleep(self, seconds: float | None) -> None:
        """Until something is applied (when there was nothing to flush, or memory gets short), or for ``seconds``."""
        self._wake.clear()
        self._idle = seconds is None
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._idle = False

    async def _sleep_whatever_comes(self, seconds: float) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not self._stopping and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await self._sleep(left)
