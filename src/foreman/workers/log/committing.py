"""How one batch becomes durable, the quick way or the other.

Quick: it fits into what the segment has allocated; it is written to the page cache here and the kernel syncs it, without a thread. Else
(a segment must grow or begin, the disk is full, the kernel cannot) the disk's thread does all of it. Either way ``done`` is called on the
loop with None or with what went wrong, and an error means the same.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial

from foreman.workers.log.disk_thread import DiskThread
from foreman.workers.log.kernel_sync import KernelSync
from foreman.workers.log.segment import SyncFailed
from foreman.workers.log.segments import Batch, Segments

Done = Callable[[Exception | None], None]


class Committer:
    """One batch at a time: the next only when the last is done."""

    def __init__(self, disk: DiskThread, segments: Segments) -> None:
        self._disk, self._segments = disk, segments
        self._sync = KernelSync.open()

    def commit(self, batch: Batch, done: Done) -> None:
        try:
            is_begun = self._begin(batch, done)
        except Exception as error:  # as the disk's thread does: whatever it is, the writer must hear of it
            asyncio.get_running_loop().call_soon(done, error)
            return
        if not is_begun:
            self._disk.submit(partial(self._segments.append, batch), done)

    def _begin(self, batch: Batch, done: Done) -> bool:
        """Whether it goes the quick way."""
        if self._sync is None or (begun := self._segments.begin_append(batch)) is None:
            return False
        descriptor, data = begun
        return self._sync.begin(descriptor, partial(self._synced, batch, data, done))

    def _synced(self, batch: Batch, data: bytes, done: Done, number: int) -> None:
        wrong: Exception | None = None
        if number:
            wrong = SyncFailed(number, os.strerror(number), self._segments.current.path)
        else:
            try:
                self._segments.end_append(batch, data)
            except Exception as error:  # as above: nobody else would ever answer the batch
                wrong = error
        done(wrong)

    def close(self) -> None:
        if self._sync is not None:
            self._sync.close()
