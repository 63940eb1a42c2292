"""Who has been silent too long. WATCHDOG=1 costs one number; a timer looks only when somebody could be overdue.

Counting starts when a worker with ``watchdog_s`` says its first WATCHDOG=1, which is its promise to say it again, and again with its next
word after it was overdue. A worker that never says it has promised nothing: redis-server, for one, is ready and never says it, and counting
from READY=1 as systemd does would kill it for ever. What is done about silence is not decided here.
"""

from collections.abc import Callable

from foreman.kernel.loop import Loop
from foreman.supervisor.worker import Worker


class Watchdog:
    def __init__(self, loop: Loop, on_overdue: Callable[[Worker], None]) -> None:
        self._loop, self._on_overdue = loop, on_overdue

    def heard(self, worker: Worker) -> None:
        """A sign of life."""
        allowed = worker.request.watchdog_s
        if allowed is None or worker.wait_status is not None:
            return
        worker.silent_from = self._loop.now() + allowed
        if worker.watch_timer is None:
            self._look_later(worker, worker.silent_from)

    def extend(self, worker: Worker, seconds: float) -> None:
        """The worker asked for at least so much time, once. Before it is ready nothing is counted anyway."""
        if worker.silent_from is not None:
            worker.silent_from = max(worker.silent_from, self._loop.now() + seconds)

    def trigger(self, worker: Worker) -> None:
        """The worker itself says that it hangs (WATCHDOG=trigger)."""
        if worker.wait_status is None and worker.request.watchdog_s is not None:
            worker.silent_from = None
            self._on_overdue(worker)

    def _look_later(self, worker: Worker, when: float) -> None:
        worker.watch_timer = self._loop.at(when, lambda: self._look(worker))

    def _look(self, worker: Worker) -> None:
        worker.watch_timer = None
        if worker.silent_from is None or worker.wait_status is not None:
            return
        now, allowed = self._loop.now(), worker.request.watchdog_s
        if worker.silent_from > now and allowed is not None:
            # Not later than that, because a word after an extension makes the time short again.
            self._look_later(worker, min(worker.silent_from, now + allowed))
            return
        worker.silent_from = None
        self._on_overdue(worker)
