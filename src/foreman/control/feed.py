"""The newest view of the cluster, for everybody on this node who waits for it to change."""

import asyncio
from collections.abc import Callable

from foreman.control.cluster_view import ClusterView


class Feed:
    """One task gives (:meth:`put`), any number wait."""

    def __init__(self) -> None:
        self.view = ClusterView()
        self._news = 0
        self._changed = asyncio.Event()

    def put(self, view: ClusterView) -> None:
        self.view = view
        self.wake()

    @property
    def news(self) -> int:
        """How often there was any."""
        return self._news

    def wake(self) -> None:
        """There is news of another kind, for those who wait in :meth:`beyond`."""
        self._news += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def beyond(self, news: int, timeout_s: float | None = None) -> None:
        """Until there is more news than ``news`` was, or time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._news == news:
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def after(self, seen: ClusterView) -> None:
        """Until there is another view than ``seen``: none is missed, however long ago it was looked at."""
        while self.view is seen:
            await self._changed.wait()

    async def until(self, holds: Callable[[ClusterView], bool], timeout_s: float) -> bool:
        """Whether it holds now or comes to hold within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(self.view):
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
