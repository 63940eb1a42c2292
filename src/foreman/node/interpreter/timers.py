"""Timers: SetTimer and CancelTimer to the event loop, and back as TimerFired."""

import asyncio

from foreman.core.effects import CancelTimer, SetTimer, TimeEffect
from foreman.core.events import Timer, TimerFired
from foreman.node.clock import monotonic_s
from foreman.node.inbox import Inbox


class Timers:
    """One handle for each timer's name: a timer set again is replaced."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._handles: dict[Timer, asyncio.TimerHandle] = {}

    def do(self, effect: TimeEffect) -> None:
        match effect:
            case SetTimer(timer, at):
                self._cancel(timer)
                self._arm(timer, at)
            case CancelTimer(timer):
                self._cancel(timer)

    def close(self) -> None:
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _arm(self, timer: Timer, at: float) -> None:
        delay_s = max(0.0, at - monotonic_s())
        self._handles[timer] = asyncio.get_running_loop().call_later(delay_s, self._fire, timer, at)

    def _fire(self, timer: Timer, at: float) -> None:
        if monotonic_s() < at:  # an event loop with a coarse clock fires a millisecond early; the machine must not see that
            self._arm(timer, at)
            return
        del self._handles[timer]
        self._inbox.put(lambda now: TimerFired(now, timer))

    def _cancel(self, timer: Timer) -> None:
        handle = self._handles.pop(timer, None)
        if handle is not None:
            handle.cancel()
