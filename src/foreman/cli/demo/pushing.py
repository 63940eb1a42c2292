"""Files pushed to a cluster, again and again until the misfortunes are over, and when each transaction was acknowledged.

Every transaction also sets one key of its own, so that each that was acknowledged leaves its own evidence, in the first round and in later
ones. Owns the pace; nothing here knows what happens to the cluster.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Final

from rich.progress import Progress

from foreman.cli.demo.tree import Expected
from foreman.core.mutations import Mutation, Set, Version
from foreman.workers.clients import ClusterClient

IN_FLIGHT: Final = 12
PUSH_S: Final = 60.0
ROUND_S: Final = 25.0
"""How long one round over the files takes at least while misfortunes happen."""

LONGEST_PAUSE_S: Final = 0.03
OWN_KEY: Final = b"\0transaction %08d"


class Pushing:
    """``versions``: of every transaction, once acknowledged. ``expected``: what the cluster must hold then."""

    def __init__(self, client: ClusterClient, batches: Sequence[Sequence[Set]], expected: Expected, progress: Progress) -> None:
        self._client, self._batches, self._expected = client, batches, expected
        self._progress = progress
        self._bar = progress.add_task("pushing", total=len(batches))
        self._pause_s = min(LONGEST_PAUSE_S, ROUND_S / len(batches))
        self._hurrying, self._changed = asyncio.Event(), asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._times: list[float] = []
        self.versions: list[Version] = []
        self.size_bytes = 0

    def hurry(self) -> None:
        """The misfortunes are over: what is left of this round goes as fast as it can, and there is no other."""
        self._hurrying.set()

    async def run(self) -> None:
        """Returns when every transaction is acknowledged."""
        numbers = itertools.count(1)
        async with asyncio.TaskGroup() as pushes:
            while True:
                for batch in self._batches:
                    await self._room.acquire()
                    number = next(numbers)
                    own = Set(OWN_KEY % number, b"acknowledged %d" % number)
                    self._expected.note(own.key, own.value)
                    pushes.create_task(self._push([*batch, own]))
                    await self._breathe()
                if self._hurrying.is_set():
                    return
                self._progress.update(self._bar, total=len(self.versions) + len(self._batches))

    async def _breathe(self) -> None:
        if not self._hurrying.is_set():
            await asyncio.sleep(self._pause_s)

    async def _push(self, mutations: Sequence[Mutation]) -> None:
        try:
            self.versions.append(await self._client.push(mutations, timeout=PUSH_S))
        finally:
            self._room.release()
        self.size_bytes += sum(len(mutation.key) + len(mutation.value) for mutation in mutations if isinstance(mutation, Set))
        self._times.append(time.monotonic())
        self._progress.advance(self._bar)
        self._changed.set()
        self._changed = asyncio.Event()

    async def acknowledged_after(self, version: Version) -> None:
        """Until a transaction beyond ``version`` is acknowledged."""
        while self._client.acknowledged <= version:
            await self._changed.wait()

    def longest_wait_s(self, since: float) -> float:
        """Between two acknowledgements, from ``since`` (time.monotonic()) to now: how long nobody could write."""
        times = [since, *(at for at in self._times if at >= since)]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
