"""Beside the watch: for each of several things a task of its own. What ends one of them ends all, at once.

Owns the tasks, from their beginning to their end. Whether one is to be begun or dropped is looked at whenever there is news.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from foreman.control.feed import Feed

_Thing = TypeVar("_Thing", bound=Hashable)


class Errands(Generic[_Thing]):
    """``feed``: where the news comes from; an errand that ends is news too."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._tasks: dict[_Thing, asyncio.Task[None]] = {}

    async def run(self, consider: Callable[[], None]) -> None:
        """Without end: ``consider`` begins and drops errands. Cancelling ends them. Raises what one of them raised."""
        try:
            while True:
                news = self._feed.news
                self._collect()
                consider()
                await self._feed.beyond(news)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def is_under_way(self, thing: _Thing) -> bool:
        return thing in self._tasks

    def begin(self, thing: _Thing, work: Coroutine[Any, Any, None]) -> None:
        """There is none for this thing yet."""
        task = self._tasks[thing] = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._feed.wake())

    def drop(self, thing: _Thing) -> None:
        """Cancel the one that is under way."""
        self._tasks.pop(thing).cancel()

    def _collect(self) -> None:
        for thing, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[thing]
                task.result()
