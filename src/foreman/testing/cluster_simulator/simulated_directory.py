"""The directory's port over memory: one store that is never wrong, and for each node a handle over the network, which is often late.

Owns revisions, leases (by the loop's clock) and the history that watches read. Keeps all history, so nothing is ever compacted.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from foreman.directory.errors import DirectoryUnavailable, LeaseExpired
from foreman.directory.port import (
    Absent,
    Changes,
    Committed,
    Comparison,
    Deleted,
    Directory,
    KeyRange,
    KeyValue,
    Lease,
    LeaseId,
    Operation,
    Present,
    Put,
    Snapshot,
    Unchanged,
    check_transaction,
)
from foreman.testing.cluster_simulator.network import DIRECTORY, Lost, Network


class Store:
    """``on_put`` hears each written pair, before anybody else does."""

    def __init__(self, on_put: Callable[[bytes, bytes], None]) -> None:
        self.revision = 1
        self.entries: dict[bytes, KeyValue] = {}
        self.history: list[Changes] = []
        self.changed = asyncio.Event()
        self.ends: dict[LeaseId, float] = {}
        self._ttl: dict[LeaseId, float] = {}
        self._on_put = on_put
        self._last_lease = 0

    def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        check_transaction(comparisons, operations)
        self.expire()
        if not all(self._holds(comparison) for comparison in comparisons):
            return Committed(succeeded=False, revision=self.revision)
        leases = [operation.lease for operation in operations if isinstance(operation, Put) and operation.lease is not None]
        for lease in leases:
            if lease not in self.ends:
                raise LeaseExpired(lease)
        self._apply(operations)
        return Committed(succeeded=True, revision=self.revision)

    def grant(self, ttl_s: float) -> Lease:
        self._last_lease += 1
        lease = LeaseId(self._last_lease)
        self._ttl[lease] = ttl_s
        self.renew(lease)
        return Lease(lease, ttl_s)

    def renew(self, lease: LeaseId) -> float:
        self.expire()
        if lease not in self._ttl:
            raise LeaseExpired(lease)
        loop = asyncio.get_running_loop()
        self.ends[lease] = loop.time() + self._ttl[lease]
        loop.call_at(self.ends[lease] + 0.001, self.expire)
        return self._ttl[lease]

    def revoke(self, lease: LeaseId) -> None:
        if self.ends.pop(lease, None) is not None:
            del self._ttl[lease]
            self._delete([key for key, entry in self.entries.items() if entry.lease == lease])

    def expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for lease in [lease for lease, end in self.ends.items() if end <= now]:
            self.revoke(lease)

    def _holds(self, comparison: Comparison) -> bool:
        entry = self.entries.get(comparison.key)
        match comparison:
            case Unchanged(_, revision):
                return entry is not None and entry.mod_revision == revision
            case Absent():
                return entry is None
            case Present():
                return entry is not None

    def _apply(self, operations: Sequence[Operation]) -> None:
        events: list[KeyValue | Deleted] = []
        revision = self.revision + 1
        for operation in operations:
            if isinstance(operation, Put):
                old = self.entries.get(operation.key)
                created = revision if old is None else old.create_revision
                entry = KeyValue(operation.key, operation.value, created, revision, operation.lease)
                self._on_put(operation.key, operation.value)
                self.entries[operation.key] = entry
                events.append(entry)
            else:
                gone = sorted(key for key in self.entries if key in operation.keys)
                events += [Deleted(key, revision) for key in gone]
                for key in gone:
                    del self.entries[key]
        self._happened(events)

    def _delete(self, keys: list[bytes]) -> None:
        for key in keys:
            del self.entries[key]
        self._happened([Deleted(key, self.revision + 1) for key in sorted(keys)])

    def _happened(self, events: list[KeyValue | Deleted]) -> None:
        if events:
            self.revision += 1
            self.history.append(Changes(self.revision, tuple(events)))
            self.changed.set()
            self.changed = asyncio.Event()


class SimulatedDirectory(Directory):
    """``me``: the node that uses this handle."""

    def __init__(self, store: Store, network: Network, me: str) -> None:
        self._store, self._network, self._me = store, network, me

    @property
    def url(self) -> str:
        return "simulated:"

    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        await self._go()
        self._store.expire()
        entries = tuple(entry for key, entry in sorted(self._store.entries.items()) if key in keys)
        snapshot = Snapshot(self._store.revision, entries)
        await self._back()
        return snapshot

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        await self._go()
        committed = self._store.transact(comparisons, operations)
        await self._back()
        return committed

    async def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        while True:
            changed = self._store.changed
            for changes in [changes for changes in self._store.history if changes.revision > after]:
                await self._back()
                after = changes.revision
                events = tuple(event for event in changes.events if event.key in keys)
                if events:
                    yield Changes(after, events)
            await changed.wait()

    async def grant_lease(self, ttl_s: float) -> Lease:
        await self._go()
        lease = self._store.grant(ttl_s)
        await self._back()
        return lease

    async def keep_alive(self, lease: LeaseId) -> float:
        await self._go()
        ttl_s = self._store.renew(lease)
        await self._back()
        return ttl_s

    async def revoke_lease(self, lease: LeaseId) -> None:
        await self._go()
        self._store.revoke(lease)
        await self._back()

    async def compact(self, revision: int) -> None:
        await self._go()

    async def close(self) -> None:
        pass

    async def _go(self) -> None:
        try:
            await self._network.go(self._me, DIRECTORY)
        except Lost:
            raise DirectoryUnavailable(self.url, "simulated silence") from None

    async def _back(self) -> None:
        try:
            await self._network.back(DIRECTORY, self._me)
        except Lost:
            raise DirectoryUnavailable(self.url, "simulated silence, after it was done") from None
