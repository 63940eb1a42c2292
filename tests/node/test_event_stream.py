"""The event stream: numbered, resumable, bounded, and never held up by a watcher."""

import asyncio
from contextlib import aclosing

from foreman.core.views import NodeEvent, WorkerRemoved
from foreman.node.event_stream import EventStream


def publish(stream: EventStream, count: int) -> None:
    for _ in range(count):
        stream.publish(lambda number: WorkerRemoved(number, 0.0, f"w{number}", "log"))


async def seen(stream: EventStream, *, after: int | None) -> list[int]:
    """The numbers that a watcher sees of a stream that has been closed."""
    async with aclosing(stream.watch(after)) as events:
        return [event.sequence async for event in events]


async def test_events_are_numbered_from_one_without_gaps() -> None:
    stream = EventStream()
    publish(stream, 200)
    stream.close()
    assert await seen(stream, after=0) == list(range(1, 201))


async def test_a_watcher_sees_only_what_comes_after_it_began() -> None:
    stream = EventStream()
    publish(stream, 3)
    events = stream.watch()
    publish(stream, 2)
    stream.close()
    assert [event.sequence async for event in events] == [4, 5]


async def test_a_watcher_resumes_after_the_last_event_it_saw() -> None:
    stream = EventStream()
    publish(stream, 10)
    stream.close()
    assert await seen(stream, after=7) == [8, 9, 10]


async def test_a_watcher_that_knew_an_earlier_server_gets_all_that_is_kept() -> None:
    stream = EventStream()
    publish(stream, 3)
    stream.close()
    assert await seen(stream, after=5_000) == [1, 2, 3]


async def test_what_is_older_than_the_ring_is_gone_and_the_gap_is_visible() -> None:
    stream = EventStream(capacity=4)
    publish(stream, 10)
    stream.close()
    assert await seen(stream, after=2) == [7, 8, 9, 10]


async def test_a_watcher_that_falls_behind_the_ring_goes_on_with_the_oldest_kept() -> None:
    stream = EventStream(capacity=4)
    events = stream.watch(0)
    publish(stream, 1)
    first: NodeEvent = await anext(events)
    publish(stream, 20)
    second: NodeEvent = await anext(events)
    assert (first.sequence, second.sequence) == (1, 18)


async def test_a_waiting_watcher_is_woken_by_the_next_event() -> None:
    stream = EventStream()
    events = stream.watch()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    publish(stream, 1)
    async with asyncio.timeout(5):
        assert (await waiting).sequence == 1


async def test_closing_ends_every_waiting_watcher() -> None:
    stream = EventStream()
    waiting = [asyncio.ensure_future(seen(stream, after=None)) for _ in range(3)]
    await asyncio.sleep(0)
    stream.close()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [[], [], []]
