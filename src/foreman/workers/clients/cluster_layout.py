"""A cluster's layout as its clients need it: where to push, where to read, and from which version on. Values, and the port they come by.

Where layouts come from is another room's matter (``api.cluster_layouts``); whoever has workers elsewhere may bring a source of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from foreman.core.errors import ForemanUnavailable
from foreman.core.mutations import Version
from foreman.workers.clients.replica import Where

FIRST_PAUSE_S: Final = 0.02
LAST_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Team:
    """Who holds the keys ``begin <= key < end``; ``end`` None: through the last key. Each of ``members`` has all of them."""

    begin: bytes
    end: bytes | None
    members: tuple[Where, ...]

    def holds(self, key: bytes) -> bool:
        return self.begin <= key and (self.end is None or key < self.end)


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """What the director of ``epoch`` published. Its ``logs`` were filled through ``last_version``: what is beyond is of this epoch.

    ``teams`` cover the key space without gaps, in order. What the logs hold is after ``first_version``.
    """

    epoch: int
    last_version: Version
    logs: tuple[Where, ...]
    teams: tuple[Team, ...]
    first_version: Version = 0


class Layouts(Protocol):
    """Where layouts come from."""

    async def after(self, epoch: int) -> ClusterLayout:
        """The newest layout, once there is one of an epoch above ``epoch``. Waits for it through every outage."""
        ...

    async def close(self) -> None: ...


async def news(changed: asyncio.Event, following: Sequence[asyncio.Task[None]]) -> None:
    """Until there is news; raises what one of those who bring it failed of, which waiting does not mend."""
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait([waiting, *following], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in following:
        if task.done() and not task.cancelled():
            task.result()


def client_closed() -> ForemanUnavailable:
    """What is raised to whoever still waits, or asks, when a client is closed."""
    return ForemanUnavailable("the cluster", "this client is closed")


class Newest:
    """The newest layout, for everybody in one client who waits for another. One task asks; any number wait."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self.layout: ClusterLayout | None = None
        self._changed = asyncio.Event()
        self._told: list[Callable[[ClusterLayout], None]] = []
        self._following: list[asyncio.Task[None]] = []
        self._ended = False

    def begin(self) -> None:
        if not self._following:
            self._following = [asyncio.create_task(self._follow(), name="follow the layout")]

    def tell(self, told: Callable[[ClusterLayout], None]) -> None:
        """Call ``told`` with every layout from the next one on, before anybody who waits goes on."""
        self._told.append(told)

    async def after(self, epoch: int) -> ClusterLayout:
        """The newest one, once it is of an epoch above ``epoch``. Raises ForemanUnavailable after :meth:`end`."""
        while not self._ended:
            if self.layout is not None and self.layout.epoch > epoch:
                return self.layout
            await news(self._changed, self._following)
        raise client_closed()

    async def after_or_pause(self, epoch: int, pause_s: float) -> float:
        """Wait for the layout after ``epoch``, or for ``pause_s``; how long to wait the next time."""
        try:
            async with asyncio.timeout(pause_s):
                await self.after(epoch)
        except TimeoutError:
            return min(LAST_PAUSE_S, 2 * pause_s)
        return FIRST_PAUSE_S

    def end(self) -> None:
        """Nobody gets a layout any more; those who wait for one hear that it is over."""
        self._ended = True
        self._changed.set()

    async def close(self) -> None:
        self.end()
        following, self._following = self._following, []
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await self._layouts.close()

    async def _follow(self) -> None:
        epoch = -1
        while True:
            layout = await self._layouts.after(epoch)
            epoch, self.layout = layout.epoch, layout
            for told in self._told:
                told(layout)
            self._changed.set()
            self._changed = asyncio.Event()
