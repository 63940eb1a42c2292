"""The end of all: every worker stopped in its stop order, then the loop ends. For orphans, for TERM, for a server that asks.

Rank by rank, lowest first and side by side within one: the worker's own stop signal to its leader, its grace, then KILL to everything.
"""

import signal
from collections.abc import Callable
from contextlib import suppress

from foreman.supervisor.children import ChildTable
from foreman.supervisor.loop import Loop
from foreman.supervisor.protocol import Refused
from foreman.supervisor.worker import Worker


class OrderedStop:
    def __init__(self, loop: Loop, children: ChildTable, on_stopped: Callable[[], None]) -> None:
        self._loop, self._children, self._on_stopped = loop, children, on_stopped
        self._rank: int | None = None
        self.begun = False

    def begin(self, *, now: bool = False) -> None:
        """Idempotent. ``now``: KILL at once, also when the stop in order has begun."""
        if now:
            for worker in self._children.workers():
                self._kill(worker)
        if not self.begun:
            self.begun = True
            self.go_on()

    def go_on(self) -> None:
        """A worker is gone, or the stop has just begun: the next rank, when the one before is empty."""
        if not self.begun:
            return
        workers = self._children.workers()
        if not workers:
            self._on_stopped()
            return
        rank = min(worker.request.stop.rank for worker in workers)
        if self._rank is not None and rank <= self._rank:
            return
        self._rank = rank
        for worker in workers:
            if worker.request.stop.rank == rank:
                self._stop(worker)

    def _stop(self, worker: Worker) -> None:
        order = worker.request.stop
        with suppress(Refused):  # what we may not signal is waited for
            self._children.signal(worker, order.signal, group=False)
            self._children.signal(worker, signal.SIGCONT, group=False)
        self._loop.after(order.grace_s, lambda: self._kill(worker))

    def _kill(self, worker: Worker) -> None:
        with suppress(Refused):
            self._children.kill(worker)
