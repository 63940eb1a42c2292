"""The directory's side of leading: campaign, keep the lease, take an epoch. Each write compares what it stands on.

Owns the lease and the fence of one term, from the election to its loss. Decides nothing.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from foreman.control.fence import Fence
from foreman.directory.errors import DirectoryError, DirectoryUnavailable, LeaseExpired
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Absent, Directory, LeaseId, Operation, Put, Unchanged, as_it_is
from foreman.directory.records import EpochRecord, IdentityRecord, LeaderRecord, encode, readable

AGAIN_S: Final = 0.1


@dataclass(slots=True)
class Term:
    """One time of leading. ``revision``: of the leader's record; while it stands unchanged, this term does. ``directory``: its identity."""

    lease: LeaseId
    ttl_s: float
    revision: int
    fence: Fence
    epoch_revision: int = 0
    directory: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """From now on nothing is commanded."""
        self.fence.shut()
        self.ended.set()


async def campaign(directory: Directory, keys: ClusterKeys, me: LeaderRecord, lease_s: float, clock: Callable[[], float]) -> Term | None:
    """A term, or None when somebody else leads or the directory is away."""
    fence, before_s = Fence(clock), clock()
    lease = None
    try:
        lease = await directory.grant_lease(lease_s)
        committed = await directory.transact([Absent(keys.leader)], [Put(keys.leader, encode(me), lease.id)])
        if committed.succeeded:
            fence.renew(before_s, lease.ttl_s)
            return Term(lease.id, lease.ttl_s, committed.revision, fence)
    except DirectoryError:
        pass  # whether it was written or not: the lease is given back, and the record goes with it
    if lease is not None:
        await resign(directory, lease.id)
    return None


async def resign(directory: Directory, lease: LeaseId) -> None:
    """Let the record go now; if nobody can be told, it goes when the lease runs out."""
    with contextlib.suppress(DirectoryError):
        await directory.revoke_lease(lease)


async def keep_term(directory: Directory, term: Term, clock: Callable[[], float]) -> None:
    """Renew the lease for as long as that succeeds in time; then end the term."""
    try:
        while True:
            if await _unless_shut(term.fence, term.ttl_s / 3):
                return
            before_s = clock()
            try:
                async with asyncio.timeout(max(0.0, term.fence.left_s)):
                    term.fence.renew(before_s, await directory.keep_alive(term.lease))
            except (LeaseExpired, TimeoutError):
                return
            except DirectoryUnavailable:
                if await _unless_shut(term.fence, AGAIN_S):
                    return
    finally:
        term.end()


async def _unless_shut(fence: Fence, seconds: float) -> bool:
    """Wait, but not beyond the fence; whether it is shut."""
    await asyncio.sleep(max(0.0, min(seconds, fence.left_s)))
    return fence.left_s <= 0


async def take_epoch(directory: Directory, keys: ClusterKeys, term: Term, above: int, node: str) -> int | None:
    """The new epoch, higher than ``above`` and than any that was ever given; None when this term is over.

    The first one also gives the directory its identity, in the same write.

    Raises DirectoryUnavailable: it may have been taken; taking the next one is right either way.
    """
    while True:
        there, named = await directory.get(keys.epoch), await directory.get(keys.identity)
        highest, identity = readable(EpochRecord, there), readable(IdentityRecord, named)
        epoch = max(above, highest.epoch if highest is not None else 0) + 1
        unchanged = [Unchanged(keys.leader, term.revision), as_it_is(keys.epoch, there), as_it_is(keys.identity, named)]
        operations: list[Operation] = [Put(keys.epoch, encode(EpochRecord(epoch, node)))]
        if identity is None:
            identity = IdentityRecord(secrets.token_hex(8))
            operations.append(Put(keys.identity, encode(identity)))
        committed = await directory.transact(unchanged, operations)
        if committed.succeeded:
            term.epoch_revision, term.fence.epoch, term.directory = committed.revision, epoch, identity.id
            return epoch
        leader = await directory.get(keys.leader)
        if leader is None or leader.mod_revision != term.revision:
            return None
