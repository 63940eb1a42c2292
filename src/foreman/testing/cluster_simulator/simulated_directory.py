"""The directory's port over memory: one store that is never wrong, and for each program a handle over the network, which is often late.

Owns revisions, leases (by the loop's clock) and the history that watches read, as far as it is not compacted.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

from foreman.directory.errors import Compacted, DirectoryUnavailable, FutureRevision, LeaseExpired
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
from foreman.testing.cluster_simulator.network import DIRECTORY, Host, Lost, Network
from foreman.testing.cluster_simulator.virtual_time import the_loop

_Answer = TypeVar("_Answer")
Events = list[KeyValue | Deleted]


class Watcher:
    """One watch: what it has not told yet."""

    def __init__(self, keys: KeyRange) -> None:
        self.keys = keys
        self.pending: list[Changes] = []
        self.waiting: asyncio.Future[None] | None = None

    def tell(self, changes: Changes) -> None:
        self.pending.append(changes)
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    async def wait(self) -> None:
        if not self.pending:
            self.waiting = the_loop().create_future()
            await self.waiting


class Store:
    """``on_put`` hears each written pair, before anybody else does. The counts are of all that ever was.

    ``leases``: when each ends, and how long it lives; ``lease_ends``: the same of those that are gone too, as their owners were told.
    """

    def __init__(self, on_put: Callable[[Put], None]) -> None:
        self.revision = self.oldest = 1
        self.entries: dict[bytes, KeyValue] = {}
        self.history: list[Changes] = []
        self.leases: dict[LeaseId, tuple[float, float]] = {}
        self.lease_ends: dict[LeaseId, float] = {}
        self.written_bytes = self.renewals = self.told = 0
        self.stands_still = False
        self._under: dict[LeaseId, set[bytes]] = {}
        self._order: list[bytes] = []
        self._of_key: dict[bytes, list[Watcher]] = {}
        self._of_ranges: list[Watcher] = []
        self._on_put = on_put
        self._last_lease = 0

    def read(self, keys: KeyRange) -> Snapshot:
        begin = bisect_left(self._order, keys.begin)
        end = len(self._order) if keys.end is None else bisect_left(self._order, keys.end)
        return Snapshot(self.revision, tuple(self.entries[key] for key in self._order[begin:end]))

    def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        check_transaction(comparisons, operations)
        if not all(self._holds(comparison) for comparison in comparisons):
            return Committed(succeeded=False, revision=self.revision)
        for operation in operations:
            if isinstance(operation, Put) and operation.lease is not None and operation.lease not in self.leases:
                raise LeaseExpired(operation.lease)
        self._apply(operations)
        return Committed(succeeded=True, revision=self.revision)

    def compact(self, revision: int) -> None:
        self.oldest = max(self.oldest, min(revision, self.revision))
        self.history = [changes for changes in self.history if changes.revision > self.oldest]

    # --- leases ---

    def grant(self, ttl_s: float) -> Lease:
        self._last_lease += 1
        lease = LeaseId(self._last_lease)
        self.lease_ends[lease] = the_loop().time() + ttl_s
        self.leases[lease], self._under[lease] = (self.lease_ends[lease], ttl_s), set()
        the_loop().call_later(ttl_s, self._look_at, lease)
        return Lease(lease, ttl_s)

    def renew(self, lease: LeaseId) -> float:
        self.renewals += 1
        if lease not in self.leases:
            raise LeaseExpired(lease)
        _, ttl_s = self.leases[lease]
        self.lease_ends[lease] = the_loop().time() + ttl_s
        self.leases[lease] = (self.lease_ends[lease], ttl_s)
        return ttl_s

    def revoke(self, lease: LeaseId) -> None:
        if self.leases.pop(lease, None) is not None:
            self._delete(sorted(self._under.pop(lease)))

    def stand_still(self) -> None:
        """The clock of the leases stands too, until :meth:`go_on`."""
        self.stands_still = True

    def go_on(self, *, prolong: bool) -> None:
        """``prolong``: every lease begins anew, as under a new leader of etcd; else those that are over end now."""
        self.stands_still = False
        now = the_loop().time()
        for lease, (_, ttl_s) in list(self.leases.items()):
            if prolong:
                self.leases[lease] = (now + ttl_s, ttl_s)
            self._look_at(lease)

    def _look_at(self, lease: LeaseId) -> None:
        if self.stands_still or lease not in self.leases:
            return
        end, _ = self.leases[lease]
        if end <= the_loop().time():
            self.revoke(lease)
        else:
            the_loop().call_at(end, self._look_at, lease)

    # --- changes ---

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
        events: Events = []
        revision = self.revision + 1
        for operation in operations:
            if isinstance(operation, Put):
                self.written_bytes += len(operation.key) + len(operation.value)
                events.append(self._put(operation, revision))
            else:
                gone = [entry.key for entry in self.read(operation.keys).entries]
                events += [self._take(key, revision) for key in gone]
        self._happened(events)

    def _put(self, put: Put, revision: int) -> KeyValue:
        self._on_put(put)
        old = self.entries.get(put.key)
        if old is None:
            insort(self._order, put.key)
        elif old.lease is not None and old.lease in self._under:
            self._under[old.lease].discard(put.key)
        entry = KeyValue(put.key, put.value, revision if old is None else old.create_revision, revision, put.lease)
        self.entries[put.key] = entry
        if put.lease is not None:
            self._under[put.lease].add(put.key)
        return entry

    def _take(self, key: bytes, revision: int) -> Deleted:
        entry = self.entries.pop(key)
        del self._order[bisect_left(self._order, key)]
        if entry.lease is not None and entry.lease in self._under:
            self._under[entry.lease].discard(key)
        return Deleted(key, revision)

    def _delete(self, keys: list[bytes]) -> None:
        self._happened([self._take(key, self.revision + 1) for key in keys])

    def _happened(self, events: Events) -> None:
        if not events:
            return
        self.revision += 1
        self.history.append(Changes(self.revision, tuple(events)))
        for watcher in self._of_ranges:
            self._tell(watcher, events)
        for event in events:
            for watcher in self._of_key.get(event.key, ()):
                self._tell(watcher, [event])

    def _tell(self, watcher: Watcher, events: Events) -> None:
        seen = tuple(event for event in events if event.key in watcher.keys)
        if seen:
            watcher.tell(Changes(self.revision, seen))

    # --- watches ---

    def watch(self, keys: KeyRange, after: int) -> Watcher:
        """Raises Compacted, FutureRevision."""
        if after < self.oldest:
            raise Compacted(after, self.oldest)
        if after > self.revision:
            raise FutureRevision(after, self.revision)
        watcher = Watcher(keys)
        missed = bisect_right(self.history, after, key=lambda changes: changes.revision)
        for changes in self.history[missed:]:
            events = tuple(event for event in changes.events if event.key in keys)
            if events:
                watcher.tell(Changes(changes.revision, events))
        self._watchers_of(keys).append(watcher)
        return watcher

    def forget(self, watcher: Watcher) -> None:
        self._watchers_of(watcher.keys).remove(watcher)

    def _watchers_of(self, keys: KeyRange) -> list[Watcher]:
        return self._of_key.setdefault(keys.begin, []) if keys == KeyRange.of_key(keys.begin) else self._of_ranges


class SimulatedDirectory(Directory):
    """``me``: the program that uses this handle."""

    def __init__(self, store: Store, network: Network, me: Host) -> None:
        self._store, self._network, self._me = store, network, me

    @property
    def url(self) -> str:
        return "simulated:"

    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        return await self._ask(lambda: self._store.read(keys))

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        return await self._ask(lambda: self._store.transact(comparisons, operations))

    async def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        await self._ask(lambda: None)
        watcher = self._store.watch(keys, after)
        try:
            while True:
                await watcher.wait()
                told, watcher.pending = watcher.pending, []
                await self._carry()
                for changes in told:
                    self._store.told += 1
                    yield changes
        finally:
            self._store.forget(watcher)

    async def grant_lease(self, ttl_s: float) -> Lease:
        return await self._ask(lambda: self._store.grant(ttl_s))

    async def keep_alive(self, lease: LeaseId) -> float:
        return await self._ask(lambda: self._store.renew(lease))

    async def revoke_lease(self, lease: LeaseId) -> None:
        await self._ask(lambda: self._store.revoke(lease))

    async def compact(self, revision: int) -> None:
        await self._ask(lambda: self._store.compact(revision))

    async def close(self) -> None:
        pass

    async def _ask(self, do: Callable[[], _Answer]) -> _Answer:
        try:
            return await self._network.ask(self._me, DIRECTORY, do)
        except Lost:
            raise DirectoryUnavailable(self.url, "simulated silence") from None

    async def _carry(self) -> None:
        try:
            await self._network.carry(DIRECTORY, self._me)
        except Lost:
            raise DirectoryUnavailable(self.url, "simulated silence") from None
