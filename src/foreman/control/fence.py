"""The fence of a leader: it commands only while its lease certainly stands, by its own clock.

A lease is renewed by calls that take time, and a leader may be stopped at any moment (SIGSTOP, a suspended machine, a long pause). So the
lease counts from before the call that renewed it, on a clock that runs on while the machine sleeps, and ends a margin early: a command
that was on its way at the end has this margin to arrive. What arrives later still is refused by who gets it, for its generation.
"""

import time
from collections.abc import Callable
from typing import Final

from foreman.control.errors import Deposed

MARGIN_SHARE: Final = 0.2
"""Of the lease's time, at its end."""


def boot_time_s() -> float:
    """Seconds that never jump and go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Open from the first :meth:`renew` until the lease's end or :meth:`shut`, whichever comes first. Shut is for good."""

    def __init__(self, clock: Callable[[], float] = boot_time_s) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._shut = False
        self.epoch = 0

    def renew(self, before_s: float, ttl_s: float) -> None:
        """The lease was renewed for ``ttl_s`` by a call that began at ``before_s`` on this clock."""
        self._until = max(self._until, before_s + ttl_s * (1.0 - MARGIN_SHARE))

    @property
    def left_s(self) -> float:
        """How long it stays open without a renewal; 0 and less: it is shut."""
        return float("-inf") if self._shut else self._until - self._clock()

    def shut(self) -> None:
        self._shut = True

    def check(self) -> None:
        """Raises Deposed. Called right before each command."""
        if self.left_s <= 0:
            self._shut = True
            raise Deposed(self.epoch)
