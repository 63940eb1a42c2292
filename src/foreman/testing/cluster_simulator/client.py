"""A client that writes: as LogSet wants it, to every log of the layout that it knows of, which may not be the newest.

What was not acknowledged is repeated, the same at the same version, or left to a recovery.
"""

import asyncio
from random import Random
from typing import Final

from foreman.core.errors import ForemanError
from foreman.directory.records import Layout
from foreman.testing.cluster_simulator.reach import Reach
from foreman.testing.cluster_simulator.virtual_time import the_loop

PUSH_EVERY_S: Final = 0.3
HEARS_LATE_S: Final = 3.0


class Client:
    def __init__(self, reach: Reach, chance: Random) -> None:
        self._reach, self._chance = reach, chance
        self._layout: Layout | None = None
        self._changed = asyncio.Event()
        self._sent = 0

    def hear(self, layout: Layout) -> None:
        """Of a new layout: at once, or late."""
        late_s = 0.0 if self._chance.random() < 0.5 else self._chance.uniform(0.0, HEARS_LATE_S)
        the_loop().call_later(late_s, self._learn, layout)

    def _learn(self, layout: Layout) -> None:
        if self._layout is None or layout.epoch > self._layout.epoch:
            self._layout = layout
            self._changed.set()

    async def run(self) -> None:
        await self._changed.wait()
        while True:
            layout = self._layout
            assert layout is not None
            version = layout.last_version
            while layout is self._layout:
                version, self._sent = version + 1, self._sent + 1
                await self._push(layout, version, f"{layout.epoch}.{self._sent}")

    async def _push(self, layout: Layout, version: int, what: str) -> None:
        while layout is self._layout:
            pushes = [self._reach.push(f"{log.node}/{log.id}", layout.epoch, version, what) for log in layout.logs]
            outcomes = await asyncio.gather(*pushes, return_exceptions=True)
            await asyncio.sleep(PUSH_EVERY_S)
            if all(outcome is None for outcome in outcomes):
                return
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, ForemanError):
                    raise outcome
