"""Lanes: everything is answered, in order where order counts, and what comes together is done together."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from foreman.node.interpreter.lane import Lane


class Collected:
    """What a lane answered, and a way to wait for it."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.outcomes: list[object] = []
        self.came = asyncio.Event()

    def done(self, group: Sequence[int], outcome: object) -> None:
        self.groups.append(list(group))
        self.outcomes.append(outcome)
        self.came.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while sum(map(len, self.groups)) < count:
                self.came.clear()
                await self.came.wait()


async def test_one_thread_keeps_the_order_and_what_waits_meanwhile_is_one_group() -> None:
    collected, go_on = Collected(), threading.Event()

    def do(group: Sequence[int]) -> int:
        assert go_on.wait(5)
        return sum(group)

    lane: Lane[int, int] = Lane("test", do, collected.done)
    lane.add(0)
    await asyncio.sleep(0)
    for number in range(1, 101):
        lane.add(number)
    go_on.set()
    await collected.until(101)
    assert collected.groups == [[0], list(range(1, 101))]
    assert collected.outcomes == [0, 5050]
    await lane.close()


async def test_several_threads_share_what_comes_at_once() -> None:
    collected, together = Collected(), threading.Barrier(4, timeout=5)

    def do(group: Sequence[int]) -> None:
        if max(group) < 4:
            together.wait()  # passes only when four groups are being done at the same time

    lane: Lane[int, None] = Lane("test", do, collected.done, threads=4)
    for number in range(4):
        lane.add(number)
    await collected.until(4)
    assert sorted(number for group in collected.groups for number in group) == [0, 1, 2, 3]
    await lane.close()


@pytest.mark.parametrize("threads", [1, 4])
async def test_a_failure_is_the_answer_of_its_group_and_the_lane_goes_on(threads: int) -> None:
    collected = Collected()

    def do(group: Sequence[int]) -> int:
        return 1 // group[0]

    lane: Lane[int, int] = Lane("test", do, collected.done, threads=threads)
    lane.add(0)
    await collected.until(1)
    lane.add(1)
    await collected.until(2)
    assert isinstance(collected.outcomes[0], ZeroDivisionError)
    assert collected.outcomes[1] == 1
    await lane.close()
