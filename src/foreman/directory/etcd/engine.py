"""The directory port on etcd: the whole meaning is etcd's own, so this only says it in etcd's words.

Times of leases are etcd's, in whole seconds, rounded up. etcd keeps all history until it is told otherwise: run it with
``--auto-compaction-retention`` (``foreman`` never compacts by itself).
"""

import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, NoReturn

from aetcd import rpc

from foreman.directory.errors import Compacted, DirectoryUnavailable, FutureRevision, InvalidTransaction, LeaseExpired
from foreman.directory.etcd import messages
from foreman.directory.etcd.address import EtcdAddress
from foreman.directory.etcd.connection import Connection, EtcdFailure
from foreman.directory.etcd.failures import Failure
from foreman.directory.port import (
    Changes,
    Committed,
    Comparison,
    Directory,
    KeyRange,
    Lease,
    LeaseId,
    Operation,
    Put,
    Snapshot,
    check_transaction,
)

DEFAULT_TIMEOUT_S: Final = 3.0


class EtcdDirectory(Directory):
    """``timeout_s`` bounds each call, with all its attempts."""

    def __init__(self, address: EtcdAddress, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._connection = Connection(address, timeout_s)

    @property
    def url(self) -> str:
        return self._address.shown

    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        try:
            answer = await self._connection.call(
                lambda member: member.kv.Range, messages.range_request(keys, revision, limit), repeatable=True
            )
        except EtcdFailure as error:
            self._fail(error, revision=revision or 0)
        return Snapshot(revision or answer.header.revision, tuple(map(messages.key_value, answer.kvs)), answer.more)

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        check_transaction(comparisons, operations)
        try:
            answer = await self._connection.call(
                lambda member: member.kv.Txn, messages.transaction_request(comparisons, operations), repeatable=False
            )
        except EtcdFailure as error:
            leases = (operation.lease for operation in operations if isinstance(operation, Put) and operation.lease)
            self._fail(error, lease=next(leases, 0))  # etcd does not say which
        return Committed(answer.succeeded, answer.header.revision)

    async def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        """See the port. First a read at ``after``: unlike a watch it is sure to see the latest, so a lagging member deceives nobody."""
        await self.read(KeyRange.of_key(keys.begin or b"\0"), revision=after, limit=1)
        try:
            # From ``after`` itself, which is dropped: were it compacted meanwhile, etcd might keep silent about deletions in the next.
            async with self._connection.stream(lambda member: member.watch.Watch, messages.watch_request(keys, max(after, 1))) as stream:
                answer = await stream.read(self._timeout_s)
                while True:
                    self._check_watch(answer, after)
                    for changes in messages.changes(answer.events, after):
                        yield changes
                    answer = await stream.read()
        except EtcdFailure as error:
            self._fail(error, revision=after)

    async def grant_lease(self, ttl_s: float) -> Lease:
        # An attempt whose answer was lost leaves a lease with no keys, which runs out: so it may be repeated.
        request = rpc.LeaseGrantRequest(TTL=max(1, math.ceil(ttl_s)))
        answer = await self._called(lambda member: member.lease.LeaseGrant, request)
        return Lease(LeaseId(answer.ID), float(answer.TTL))

    async def keep_alive(self, lease: LeaseId) -> float:
        try:
            answer = await self._connection.converse_once(lambda member: member.lease.LeaseKeepAlive, rpc.LeaseKeepAliveRequest(ID=lease))
        except EtcdFailure as error:
            self._fail(error, lease=lease)
        if answer.TTL <= 0:
            raise LeaseExpired(lease)
        return float(answer.TTL)

    async def revoke_lease(self, lease: LeaseId) -> None:
        try:
            await self._connection.call(lambda member: member.lease.LeaseRevoke, rpc.LeaseRevokeRequest(ID=lease), repeatable=True)
        except EtcdFailure as error:
            if error.failure is not Failure.NO_LEASE:
                self._fail(error, lease=lease)

    async def compact(self, revision: int) -> None:
        try:
            await self._connection.call(lambda member: member.kv.Compact, rpc.CompactionRequest(revision=revision), repeatable=True)
        except EtcdFailure as error:
            if error.failure is not Failure.COMPACTED:
                self._fail(error, revision=revision)

    async def close(self) -> None:
        await self._connection.close()

    async def _called(self, method: Any, request: Any) -> Any:
        try:
            return await self._connection.call(method, request, repeatable=True)
        except EtcdFailure as error:
            self._fail(error)

    def _check_watch(self, answer: Any, after: int) -> None:
        if answer.compact_revision:
            raise Compacted(after, answer.compact_revision)
        if answer.canceled:
            raise DirectoryUnavailable(self.url, f"the watch was cancelled: {answer.cancel_reason or 'no reason given'}")

    def _fail(self, error: EtcdFailure, *, revision: int = 0, lease: int = 0) -> NoReturn:
        match error.failure:
            case Failure.COMPACTED:
                raise Compacted(revision, 0) from None
            case Failure.FUTURE:
                raise FutureRevision(revision, 0) from None
            case Failure.NO_LEASE:
                raise LeaseExpired(lease) from None
            case Failure.INVALID:
                raise InvalidTransaction(error.sentence) from None
            case Failure.AWAY | Failure.NOT_SENT | Failure.TOKEN | Failure.REFUSED:
                raise DirectoryUnavailable(self.url, error.sentence) from None
