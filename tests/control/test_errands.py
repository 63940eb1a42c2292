"""What ends one errand ends all, at once, though nothing changes in the directory; and nothing of them is left."""

import asyncio
from collections.abc import Callable

import pytest

from foreman.control.cluster_view import ClusterView
from foreman.control.errands import Errands
from foreman.control.errors import Overtaken
from foreman.control.feed import Feed

WITHIN_S = 10.0


class World:
    """Three things, of which ``failing`` fails when :attr:`go` is set; the others wait."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.errands = Errands[str](self.feed)
        self.wanted = {"a", "b", "failing"}
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []

    async def _work(self, thing: str) -> None:
        self.begun.append(thing)
        try:
            await self.go.wait()
            if thing == "failing":
                raise Overtaken(9)
            await asyncio.Event().wait()
        finally:
            self.ended.append(thing)
            self.feed.wake()

    def consider(self) -> None:
        for thing in ("a", "b", "failing"):
            if thing in self.wanted and not self.errands.is_under_way(thing):
                self.errands.begin(thing, self._work(thing))
            elif thing not in self.wanted and self.errands.is_under_way(thing):
                self.errands.drop(thing)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                await self.feed.beyond(self.feed.news, 0.01)


async def test_an_errand_that_fails_ends_all_without_any_other_news() -> None:
    world = World()
    running = asyncio.create_task(world.errands.run(world.consider))
    await world.until(lambda: len(world.begun) == 3)
    world.go.set()
    with pytest.raises(Overtaken):
        await asyncio.wait_for(running, WITHIN_S)
    assert set(world.ended) == {"a", "b", "failing"}


async def test_what_is_not_wanted_any_more_is_dropped_and_begun_again_when_it_is() -> None:
    world = World()
    running = asyncio.create_task(world.errands.run(world.consider))
    await world.until(lambda: len(world.begun) == 3)
    world.wanted = {"a", "failing"}
    world.feed.put(ClusterView())
    await world.until(lambda: world.ended == ["b"])
    world.wanted = {"a", "b", "failing"}
    world.feed.put(ClusterView())
    await world.until(lambda: world.begun[3:] == ["b"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(world.ended) == ["a", "b", "b", "failing"]
