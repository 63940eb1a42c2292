"""The one writer of a cluster: gives versions, pushes to the logs of whatever layout there is, and knows what is acknowledged.

Every transaction has its version from the moment it is taken, and keeps it: each names the one before it, so no log ever holds one without
those before it. When a new layout comes, all that was under way is pushed again, to the new logs, as the same versions. What the recovery
kept is there, and answered as a retry; the rest is appended. So nothing is lost, doubled or reordered, however many epochs it takes, and
nothing is taken for kept that another writer put in its place.

That needs one writer at a time: a second one has its pushes refused, or this one's are (TransactionOutOfOrder), and nothing is damaged.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from foreman.core.data_errors import Locked, NewerEpochExists, NotReady, StorageFault, TooManyParked, TransactionOutOfOrder
from foreman.core.errors import ForemanError, ForemanTimeout, ForemanUnavailable, WorkerNotFound
from foreman.core.mutations import Mutation, Version
from foreman.workers.clients.cluster_layout import FIRST_PAUSE_S, ClusterLayout, Newest, client_closed
from foreman.workers.clients.log_pipe import LogPipe
from foreman.workers.clients.log_set import on_all
from foreman.workers.wire.transactions import encode_transaction

MAX_IN_FLIGHT: Final = 200
"""Transactions that are on their way at once; the next push waits. Well below what a log parks."""

TRY_S: Final = 5.0
"""After which a log that is silent is given up, and its place looked up anew."""

_WAIT: Final = (Locked, NewerEpochExists, NotReady, StorageFault, TooManyParked, ForemanUnavailable, ForemanTimeout, WorkerNotFound)
"""After these there will be another layout, or the same one works again."""


class AcknowledgedLost(ForemanError, code="acknowledged_lost", status=500, fields=("acknowledged", "kept")):
    """Transactions through ``acknowledged`` were acknowledged, and the new layout's logs hold those through ``kept`` only."""

    def __init__(self, acknowledged: Version, kept: Version) -> None:
        super().__init__(acknowledged, kept)
        self.acknowledged, self.kept = acknowledged, kept

    def __str__(self) -> str:
        return f"the cluster has lost data: version {self.acknowledged} was acknowledged, and the new layout ends at {self.kept}"


class _Era:
    """The logs of one layout, and the pushes that are under way to them."""

    def __init__(self, layout: ClusterLayout, security: Mapping[str, Any] | None) -> None:
        self.layout = layout
        self._logs = [LogPipe(log, security, TRY_S) for log in layout.logs]
        self._pushes: set[asyncio.Future[Any]] = set()

    async def push(self, version: Version, transaction: bytes) -> bool:
        """Whether every log has it; False: the era has ended meanwhile. Raises what a log refused it with."""
        pushing = asyncio.ensure_future(self._on_all(version, version - 1, transaction))
        self._pushes.add(pushing)
        try:
            await asyncio.wait({pushing})
        finally:
            self._pushes.discard(pushing)
            pushing.cancel()
        if pushing.cancelled():
            return False
        pushing.result()
        return True

    async def level(self) -> Version:
        """The end of the longest log, once all logs have what it has: a writer that died may have reached some of them only."""
        lasts = [await log.last_version() for log in self._logs]
        low, high = min(lasts), max(lasts)
        longest = self._logs[lasts.index(high)]
        while low < high:
            for version, transaction in await longest.pull(low, high):
                await self._on_all(version, low, transaction)
                low = version
        return high

    async def _on_all(self, version: Version, previous: Version, transaction: bytes) -> None:
        await on_all(log.push(version, previous, transaction, epoch=self.layout.epoch) for log in self._logs)

    async def close(self) -> None:
        for log in self._logs:
            await log.close()

    def end(self) -> None:
        """Every push under way comes back with False."""
        for pushing in self._pushes:
            pushing.cancel()


class ClusterWriter:
    """``security``: as LogClient's."""

    def __init__(self, newest: Newest, security: Mapping[str, Any] | None) -> None:
        self._newest, self._security = newest, security
        self._era: _Era | None = None
        self._ended: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()  # who waits for it goes on in the order of the calls
        self._opened = False
        self._last = self._acknowledged = 0
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._carrying: dict[Version, asyncio.Task[None]] = {}
        self._broken: BaseException | None = None
        newest.tell(self._see)

    @property
    def acknowledged(self) -> Version:
        """The newest version that is acknowledged; all before it are, too. 0: none is known of."""
        return self._acknowledged

    @property
    def under_way(self) -> list[Version]:
        """Versions that were taken and are not acknowledged yet, ascending: each may be in the cluster or not."""
        return sorted(self._carrying)

    async def push(self, mutations: Sequence[Mutation], timeout_s: float) -> Version:
        """The version under which it is durable on every log."""
        transaction = encode_transaction(mutations)
        try:
            async with asyncio.timeout(timeout_s):
                async with self._turn:
                    await self._open()
                    await self._room.acquire()
                    version, carrying = self._take(transaction)
                await asyncio.shield(carrying)
        except TimeoutError:
            raise ForemanTimeout("an acknowledgement of every log", timeout_s) from None
        return version

    async def close(self) -> None:
        """What is under way may be in the cluster or not, and is carried on no more; whoever waits for it is told."""
        self._broken = self._broken or client_closed()
        if self._era is not None:
            self._retire(self._era)
        await asyncio.gather(*self._carrying.values(), *self._ended, return_exceptions=True)

    # --- the layout ---

    def _see(self, layout: ClusterLayout) -> None:
        old, self._era = self._era, _Era(layout, self._security)
        if self._opened and layout.last_version < self._acknowledged:
            self._broken = AcknowledgedLost(self._acknowledged, layout.last_version)
        if self._opened and layout.last_version > self._last:  # what is there is not ours, though some of the versions are
            self._broken = self._broken or TransactionOutOfOrder(layout.last_version)
        if old is not None:
            self._retire(old)

    def _retire(self, era: _Era) -> None:
        era.end()
        self._ended = [task for task in self._ended if not task.done()]
        self._ended.append(asyncio.create_task(era.close()))

    async def _open(self) -> None:
        """Find out, once, where the versions go on."""
        pause_s = FIRST_PAUSE_S
        while not self._opened:
            await self._newest.after(-1)
            era = self._era
            assert era is not None, "it is told before those who wait"
            try:
                last = await era.level()
            except _WAIT:
                pause_s = await self._newest.after_or_pause(era.layout.epoch, pause_s)
                continue
            if era is self._era:
                self._last = self._acknowledged = last
                self._opened = True

    # --- one transaction ---

    def _take(self, transaction: bytes) -> tuple[Version, asyncio.Task[None]]:
        """From here on it has its version, and is carried on whoever stops waiting: those after it name it."""
        if self._broken is not None:
            self._room.release()
            raise self._broken
        self._last += 1
        version = self._last
        task = asyncio.create_task(self._carry(version, transaction), name=f"push {version}")
        self._carrying[version] = task
        task.add_done_callback(lambda done: self._carried(version, done))
        return version, task

    def _carried(self, version: Version, task: asyncio.Task[None]) -> None:
        self._room.release()
        if task.cancelled():  # with its loop
            return
        if (error := task.exception()) is not None:
            self._broken = self._broken or error  # whatever it is: it stays among those under way, and nothing can follow it
            return
        self._acknowledged = max(self._acknowledged, version)
        del self._carrying[version]

    async def _carry(self, version: Version, transaction: bytes) -> None:
        """Until every log of one layout has it. Raises what no other layout will change."""
        pause_s = FIRST_PAUSE_S
        while True:
            if self._broken is not None:
                raise self._broken
            era = self._era
            assert era is not None, "it was there when this was taken"
            if version <= era.layout.first_version:
                return  # every storage worker has it, and no log any more
            try:
                if await era.push(version, transaction):
                    return
                pause_s = FIRST_PAUSE_S
            except _WAIT:
                pause_s = await self._newest.after_or_pause(era.layout.epoch, pause_s)
