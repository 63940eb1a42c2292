"""Doing several things side by side: all answers in order, or the first failure, and nothing left running either way.

Not asyncio.TaskGroup: that forgets a cancellation that comes in the moment of a failure (Python 3.11).
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")


async def together(works: Iterable[Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    """When one raises, the others are cancelled and waited for, and its error is raised alone."""
    tasks = [asyncio.create_task(work) for work in works]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((task for task in tasks if task.done() and task.exception() is not None), None)
        if failed is not None:
            await failed
    finally:
        await _end(tasks)
    return [task.result() for task in tasks]


async def _end(tasks: list[asyncio.Task[_Answer]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
