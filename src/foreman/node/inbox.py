"""The one way to the machine: facts wait here until the server takes them, one by one, in the order they came.

Owns the queue and the wake-up. A fact is put in as a function of the moment, because an event carries the moment at which it is
taken out. Bounded only by what the node itself has asked for: every sender is an answer to an effect, news of a process, or a
request that was let in at the door.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from foreman.core.events import Event, Moment

Fact = Callable[[Moment], Event]


class Inbox:
    """Call ``put`` from the event loop's thread; ``take`` belongs to the server's loop."""

    def __init__(self) -> None:
        self._facts: deque[Fact] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, fact: Fact) -> None:
        self._facts.append(fact)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Fact:
        """The oldest fact, waiting for one when there is none."""
        while not self._facts:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._facts.popleft()
