"""Waiting in tests: for something to become true, with a deadline, never for time to pass.

What is waited for is state that the kernel or the program shows (a process gone, a file there, a state reached). Where the thing
itself can be awaited (an event, a future, a pidfd), await that with a time-out instead.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, overload

_Found = TypeVar("_Found")
_PAUSE_S: Final = 0.005


def wait_until(predicate: Callable[[], _Found], *, timeout_s: float = 10.0, what: str = "") -> _Found:
    """Return the predicate's first true answer; fail the test at the deadline, naming what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = predicate()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(what or predicate, timeout_s, found))
        time.sleep(_PAUSE_S)


@overload
async def wait_until_async(predicate: Callable[[], Awaitable[_Found]], *, timeout_s: float = ..., what: str = ...) -> _Found: ...
@overload
async def wait_until_async(predicate: Callable[[], _Found], *, timeout_s: float = ..., what: str = ...) -> _Found: ...
async def wait_until_async(predicate: Callable[[], Any], *, timeout_s: float = 10.0, what: str = "") -> Any:
    """The same, letting the event loop run; the predicate may be a coroutine function."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = predicate()
        found = await answer if isinstance(answer, Awaitable) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(what or predicate, timeout_s, found))
        await asyncio.sleep(_PAUSE_S)


def _complaint(what: object, timeout_s: float, last: object) -> str:
    return f"not true within {timeout_s:g} s: {what} (last answer: {last!r})"
