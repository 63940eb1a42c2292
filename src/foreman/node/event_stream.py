"""What changed on the node, numbered, for everybody who watches: a bounded ring with a cursor for each watcher.

Owns the sequence numbers and the last ``capacity`` events. A watcher holds no queue, only its place in the ring, so a thousand slow
watchers cost nothing and can neither block the node nor fill its memory: one that falls more than the whole ring behind goes on
with the oldest event that is kept, and sees the gap in the sequence. Never decides anything and never does I/O.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

from foreman.core.views import NodeEvent

DEFAULT_CAPACITY: Final = 8192


class EventStream:
    """The events of one server's life, numbered from 1."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._ring: deque[NodeEvent] = deque(maxlen=capacity)
        self._last = 0
        self._closed = False
        self._watchers: set[asyncio.Future[None]] = set()

    @property
    def last_sequence(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._last

    def publish(self, number: Callable[[int], NodeEvent]) -> NodeEvent:
        """Number the event that ``number(sequence)`` makes, keep it, wake the watchers."""
        event = number(self._last + 1)
        self._last += 1
        self._ring.append(event)
        self._wake()
        return event

    def close(self) -> None:
        """No event will follow: every watcher ends when it has seen the last."""
        self._closed = True
        self._wake()

    def watch(self, after: int | None = None) -> AsyncGenerator[NodeEvent, None]:
        """From now on, or after event ``after`` as far back as is kept.

        A number higher than any of ours is from an earlier server's life; then everything kept is news. The place is taken
        when this is called, not when the first event is asked for, so nothing is missed in between.
        """
        if after is None:
            return self._follow(self._last)
        return self._follow(after if after <= self._last else 0)

    async def _follow(self, seen: int) -> AsyncGenerator[NodeEvent, None]:
        while True:
            for event in self._since(seen):
                seen = event.sequence
                yield event
            if seen < self._last:
                continue
            if self._closed:
                return
            await self._changed()

    def _since(self, seen: int) -> list[NodeEvent]:
        """At most a handful at once, so that a long catch-up holds no large copy."""
        oldest = self._last - len(self._ring) + 1
        start = max(seen + 1, oldest) - oldest
        return [self._ring[i] for i in range(start, min(start + 64, len(self._ring)))]

    async def _changed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.add(waiter)
        try:
            await waiter
        finally:
            self._watchers.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._watchers:
            if not waiter.done():
                waiter.set_result(None)
