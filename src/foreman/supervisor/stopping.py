"""The end of all: every worker stopped in its stop order, then nothing is left. For orphans, for TERM, for a server that asks.

Rank by rank, lowest first and side by side within one: the worker's own stop signal to its leader, its grace, then KILL to everything.
"""

import signal
from collections.abc import Callable
from contextlib import suppress

from foreman.kernel.loop import Loop
from foreman.supervisor.children import ChildTable
from foreman.supervisor.protocol import Refused
from foreman.supervisor.worker import Worker


class OrderedStop:
    def __init__(self, loop: Loop, children: ChildTable, on_stopped: Callable[[], None]) -> None:
        self._loop, self._children, self._on_stopped = loop, children, on_stopped
        self._left: set[str] = set()
        self.begun = False

    def begin(self, *, now: bool = False) -> None:
        """Idempotent. ``now``: KILL at once, also when the stop in order has begun."""
        if now:
            for worker in self._children.workers():
                self._kill(worker)
        if not self.begun:
            self.begun = True
            self._next_rank()

    def on_end(self, worker: Worker) -> None:
        """It is gone. With the last of its rank the next one's turn has come."""
        self._left.discard(worker.id)
        if self.begun and not self._left:
            self._next_rank()

    def _next_rank(self) -> None:
        workers = self._children.workers()
        if not workers:
            self._on_stopped()
            return
        rank = min(worker.request.stop.rank for worker in workers)
        stopped = [worker for worker in workers if worker.request.stop.rank == rank]
        self._left = {worker.id for worker in stopped}
        for worker in stopped:
            self._stop(worker)

    def _stop(self, worker: Worker) -> None:
        order = worker.request.stop
        with suppress(Refused):  # what we may not signal is waited for
            self._children.signal(worker, order.signal)
            self._children.signal(worker, signal.SIGCONT)
        self._loop.after(order.grace_s, lambda: self._kill(worker))

    def _kill(self, worker: Worker) -> None:
        with suppress(Refused):
            self._children.signal(worker, signal.SIGKILL, group=True)
