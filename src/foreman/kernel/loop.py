"""The one loop: descriptors (epoll), timers (a heap), signals. It sleeps until something is due and never looks around by itself.

Owns the epoll, the timers and the signal handlers. A callback does a bounded piece of work and returns; what is left makes its
descriptor ready again, after all others had their turn. An unforeseen exception ends the supervisor, loudly: its workers die with it and
the server starts anew, which is better than a parent that no longer knows its children.
"""

import heapq
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

Callback = Callable[[int], None]
READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT


class Timer:
    """One call at ``when`` (monotonic)."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None] | None) -> None:
        self.when = when
        self.callback = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: "Timer") -> bool:
        return self.when < other.when


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[Timer] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._caught: set[int] = set()
        self._running = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self.watch(self._wake_read, self._on_wake)

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def watch(self, fd: int, callback: Callback, events: int = READ) -> None:
        self._callbacks[fd] = callback
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """BEFORE the descriptor is closed."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(when, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self.at(self.now() + seconds, callback)

    def on_signal(self, signum: int, callback: Callable[[], None]) -> None:
        self._signals[signum] = callback
        signal.signal(signum, self._catch)

    def _catch(self, signum: int, _frame: FrameType | None) -> None:
        self._caught.add(signum)

    def _on_wake(self, _events: int) -> None:
        os.read(self._wake_read, 4096)
        while self._caught:
            self._signals[self._caught.pop()]()

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        self._running = True
        while self._running:
            # Whom each event is for is settled before any is handled: a descriptor that is closed meanwhile may be opened anew at once,
            # and its old event is not the new owner's.
            happened = [(fd, self._callbacks.get(fd), events) for fd, events in self._epoll.poll(self._timeout())]
            for fd, callback, events in happened:
                if callback is not None and self._callbacks.get(fd) is callback:
                    callback(events)
            self._fire()

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0].when - self.now())

    def _fire(self) -> None:
        now = self.now()
        due = []
        while self._timers and self._timers[0].when <= now:
            due.append(heapq.heappop(self._timers))
        for timer in due:
            if timer.callback is not None:
                timer.callback()
