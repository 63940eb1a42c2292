"""Who hears whom, how late, and what gets lost on the way. By a seeded source of chance."""

import asyncio
from random import Random
from typing import Final

DIRECTORY: Final = "directory"
SILENCE_S: Final = 2.0
"""After so long without an answer a caller gives up."""


class Lost(Exception):
    """No answer. ``arrived``: whether what was asked was done."""

    def __init__(self, *, arrived: bool) -> None:
        super().__init__("no answer")
        self.arrived = arrived


class Network:
    """``loss``: the share of messages that do not arrive, in either direction."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.loss = 0.0
        self.delay_s = 0.002
        self.cut: set[frozenset[str]] = set()

    def hears(self, one: str, other: str) -> bool:
        return frozenset((one, other)) not in self.cut

    async def go(self, sender: str, receiver: str) -> None:
        """One way. Raises Lost after the time that the sender would wait."""
        await asyncio.sleep(self.delay_s * self._chance.uniform(0.1, 2.0))
        if not self.hears(sender, receiver) or (sender != receiver and self._chance.random() < self.loss):
            await asyncio.sleep(SILENCE_S)
            raise Lost(arrived=False)

    async def back(self, sender: str, receiver: str) -> None:
        """The answer's way. Raises Lost: it was done, and nobody hears of it."""
        try:
            await self.go(sender, receiver)
        except Lost:
            raise Lost(arrived=True) from None
