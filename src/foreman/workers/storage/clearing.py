"""Deleting what a narrower key range has left behind, a bounded piece at a time.

The UNLOCK that narrows the range says in the record what is left over (stored.py), and from then on nobody reads it. The data itself may
be millions of keys: here they go in small LMDB transactions, each with what is still left, so that flushes come in between, a crash loses
nothing, and the next start goes on. Owns one task; a disk that fails is tried again later.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from foreman.core.data_errors import StorageFault
from foreman.workers.storage.store import Store

STEP_KEYS: Final = 2_000
STEP_BYTES: Final = 4 << 20
FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 5.0


class Clearer:
    """``report`` is told when the disk fails, and (None) when it works again. ``on_ended`` hears of the task's end, for whatever reason."""

    def __init__(self, store: Store, report: Callable[[StorageFault | None], None], on_ended: Callable[[asyncio.Task[None]], None]) -> None:
        self._store, self._report, self._on_ended = store, report, on_ended
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Go on with what is left over, if anything is."""
        if self._task is None and self._store.leftover and not self._stopping.is_set():
            self._task = asyncio.create_task(self._run(), name="clear")
            self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """For good, after the step that is being written."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._on_ended(task)

    async def _run(self) -> None:
        retry_s = 0.0
        while self._store.leftover and not self._stopping.is_set():
            try:
                await self._store.clear_some(STEP_KEYS, STEP_BYTES)
            except StorageFault as fault:
                self._report(fault)
                retry_s = min(LAST_RETRY_S, 2 * retry_s or FIRST_RETRY_S)
                await self._sleep(retry_s)
            else:
                if retry_s:
                    retry_s = 0.0
                    self._report(None)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
