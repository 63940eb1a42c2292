"""Reads of a version that is not here yet: kept until it comes, or their time is up.

Owns the waiting reads and their timers; bounded. Everything runs on the worker's loop.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from foreman.core.data_errors import TooManyParked, VersionTooNew
from foreman.core.mutations import Version
from foreman.workers.wire import Pending, replies

MAX_WAITING: Final = 10_000


class WaitingRead:
    """``read`` makes the answer once the version is here. ``pending`` None: answered, timed out or abandoned."""

    __slots__ = ("pending", "read", "timer", "version")

    def __init__(self, version: Version, pending: Pending, read: Callable[[], bytes]) -> None:
        self.version, self.read = version, read
        self.pending: Pending | None = pending
        self.timer: asyncio.TimerHandle | None = None


class WaitingReads:
    def __init__(self) -> None:
        self._heap: list[tuple[Version, int, WaitingRead]] = []
        self._number = 0
        self._count = 0

    def add(self, version: Version, pending: Pending, read: Callable[[], bytes], wait_s: float, newest: Callable[[], Version]) -> None:
        """Answer ``pending`` with ``read()`` when ``version`` has come, or VersionTooNew after ``wait_s``. Raises TooManyParked."""
        if self._count >= MAX_WAITING:
            raise TooManyParked(MAX_WAITING)
        waiting = WaitingRead(version, pending, read)
        self._number += 1
        self._count += 1
        heappush(self._heap, (version, self._number, waiting))
        waiting.timer = asyncio.get_running_loop().call_later(wait_s, self._give_up, waiting, newest)
        pending.on_abandoned = lambda: self._end(waiting, None)

    def reached(self, version: Version) -> None:
        """``version`` is here now."""
        heap = self._heap
        while heap and heap[0][0] <= version:
            waiting = heappop(heap)[2]
            if waiting.pending is not None:
                self._end(waiting, waiting.read())

    def _give_up(self, waiting: WaitingRead, newest: Callable[[], Version]) -> None:
        self._end(waiting, replies.error(VersionTooNew(newest())))
        if len(self._heap) > 2 * self._count + 100:
            self._heap = sorted(entry for entry in self._heap if entry[2].pending is not None)

    def _end(self, waiting: WaitingRead, reply: bytes | None) -> None:
        pending, waiting.pending = waiting.pending, None
        if pending is None:
            return
        self._count -= 1
        if waiting.timer is not None:
            waiting.timer.cancel()
        if reply is not None:
            pending.resolve(reply)
