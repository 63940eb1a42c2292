"""An event loop whose clock jumps to the next thing that will happen, so that minutes of a cluster pass in milliseconds.

Owns the clock, and whose turn it is: what runs in the context of a host (``WHO``) does not run while that host is stopped, and goes on
where it was, timers overdue, as after SIGSTOP and SIGCONT. Nothing outside of the loop can wake it: no threads, sockets or processes.
Half of a run's time was asyncio's own loop; this one has no selector and compares no handles.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple

_Answer = TypeVar("_Answer")
_Ts = TypeVarTuple("_Ts")
WHO: ContextVar[str] = ContextVar("who", default="")
"""The host whose code runs."""
MANY: Final = 1_000
"""From so many cancelled timers on it is worth taking them out."""


class NothingLeftToHappen(RuntimeError):
    """Everybody waits for somebody else."""


class _Call(asyncio.TimerHandle):
    """What asyncio calls a handle; ``call`` None: cancelled."""

    __slots__ = ("args", "at", "call", "within")

    def __init__(self, call: Callable[..., object], args: tuple[Any, ...], within: Context | None, at: float) -> None:
        self.call: Callable[..., object] | None = call
        self.args, self.within, self.at = args, copy_context() if within is None else within, at

    def cancel(self) -> None:
        self.call, self.args = None, ()

    def cancelled(self) -> bool:
        return self.call is None

    def when(self) -> float:
        return self.at


async def _gone(tasks: "set[asyncio.Task[Any]]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` begins at 0. ``meter``, when it is set: the processor time that each host has taken, ns."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._due: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._count, self._tidy_at, self._ending = 0, MANY, False
        self._stopped: dict[str, list[_Call]] = {}
        self.meter: dict[str, int] | None = None

    def time(self) -> float:
        return self._now

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self  # noqa: SLF001 - asyncio's own words for loops made by others

    def call_soon(self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.Handle:
        call = _Call(callback, args, context, self._now)
        self._due.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.TimerHandle:
        call = _Call(callback, args, context, when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, call))
        if len(self._timers) > self._tidy_at:
            self._timers = [timer for timer in self._timers if timer[2].call is not None]
            heapq.heapify(self._timers)
            self._tidy_at = max(MANY, 2 * len(self._timers))
        return call

    def stop_host(self, who: str) -> None:
        """Nothing of it runs until :meth:`continue_host`. Stopped already: nothing."""
        self._stopped.setdefault(who, [])

    def continue_host(self, who: str) -> None:
        self._due.extend(self._stopped.pop(who, ()))

    def run_forever(self) -> None:
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            self._ending = False
            while not self._ending:
                self._run_next()
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def stop(self) -> None:
        self._ending = True

    def end(self) -> None:
        """Cancel whatever is left, and close. What a task does on the way down does not matter any more."""
        for who in list(self._stopped):
            self.continue_host(who)
        for _ in range(MANY):  # a callback that raises ends the loop, not what is left in it
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            with suppress(Exception):
                self.run_until_complete(_gone(left))
                break
        self.close()

    def _run_next(self) -> None:
        if self._due:
            next_call = self._due.popleft()
        elif self._timers:
            when, _, next_call = heapq.heappop(self._timers)
            if next_call.call is not None and when > self._now:
                self._now = when
        else:
            raise NothingLeftToHappen
        if next_call.call is None:
            return
        if self._stopped:
            stopped = self._stopped.get(next_call.within.get(WHO, ""))
            if stopped is not None:
                stopped.append(next_call)
                return
        if self.meter is None:
            next_call.within.run(next_call.call, *next_call.args)
        else:
            who, began = next_call.within.get(WHO, ""), time.process_time_ns()
            next_call.within.run(next_call.call, *next_call.args)
            self.meter[who] = self.meter.get(who, 0) + time.process_time_ns() - began


def run(main: Coroutine[Any, Any, _Answer]) -> _Answer:
    """As asyncio.run, in virtual time. What it raises ends everything."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.end()


def the_loop() -> VirtualLoop:
    """The one that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
