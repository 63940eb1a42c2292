"""What a leader tells stands in the directory for as long as it leads, whatever nodes and workers say."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from foreman.control.cluster_view import ClusterView, view_of
from foreman.control.telling import MAX_MISSING, MAX_REASON, Teller
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Committed, Comparison, Directory, Operation, Put
from foreman.directory.records import LeaderRecord, encode
from foreman.directory.sqlite.engine import SqliteDirectory
from tests.deadline import wait_until_async

KEYS = ClusterKeys("demo")


class LateDirectory(SqliteDirectory):
    """``holds``: the next write is taken for lost, and comes when :meth:`arrive` says so."""

    holds = False
    held: tuple[Sequence[Comparison], Sequence[Operation]] | None = None

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        if self.holds:
            self.holds, self.held = False, (comparisons, operations)
            raise DirectoryUnavailable(self.url, "no answer in time")
        return await super().transact(comparisons, operations)

    async def arrive(self) -> Committed:
        assert self.held is not None
        return await super().transact(*self.held)


async def view(directory: Directory) -> ClusterView:
    return view_of(KEYS, await directory.read(KEYS.everything))


async def leading(directory: Directory) -> tuple[Teller, asyncio.Task[None]]:
    """The teller of node a, which leads, and its task."""
    lease = await directory.grant_lease(60.0)
    leader = await directory.transact([], [Put(KEYS.leader, encode(LeaderRecord("a", "")), lease.id)])
    teller = Teller(directory, KEYS, "a", lambda: 1.0, lambda _: {})
    return teller, asyncio.create_task(teller.run(lease.id, leader.revision))


async def test_hostile_words_are_told_bounded_and_a_deposed_leader_tells_nothing(tmp_path: Path) -> None:
    async with SqliteDirectory(tmp_path / "directory.sqlite") as directory:
        teller, telling = await leading(directory)
        teller.begin(4, "0a0b0c0d")
        teller.status("stalled", "locking", why="\udc80\0" * 2_000, missing=("\udc80",) * 2 * MAX_MISSING)
        teller.tell("x" * 5_000, "\udc80")

        async def told() -> bool:
            return bool((await view(directory)).story.lines)

        await wait_until_async(told, timeout_s=10.0, what="it is told")
        seen = await view(directory)
        assert seen.status is not None
        assert (len(seen.status.why), len(seen.status.missing)) == (MAX_REASON, MAX_MISSING)
        leads, hostile = seen.story.lines
        assert (leads.epoch, leads.what, leads.reason) == (4, "node a leads", "nobody did")
        assert (len(hostile.what), hostile.reason) == (MAX_REASON, "?")

        await directory.transact([], [Put(KEYS.leader, encode(LeaderRecord("b", "")))])
        teller.tell("too late", "somebody else leads")
        await asyncio.wait_for(telling, 10.0)
        assert len((await view(directory)).story.lines) == 2


async def test_a_status_that_comes_late_does_not_stand_under_a_newer_epoch(tmp_path: Path) -> None:
    """The same leader, two epochs: the write of the first one arrives after that of the second."""
    async with LateDirectory(tmp_path / "directory.sqlite") as directory:
        teller, telling = await leading(directory)

        async def told(epoch: int) -> bool:
            status = (await view(directory)).status
            return status is not None and status.epoch == epoch

        for epoch in (4, 6):  # the first write of a term, and one that follows another
            directory.holds, directory.held = True, None
            teller.begin(epoch, "0a0b0c0d")
            teller.status("recovering", "locking")
            await wait_until_async(lambda: told_lost(directory), timeout_s=10.0, what="the write is lost")
            teller.begin(epoch + 1, "0a0b0c0d")
            teller.status("watching", "")
            await wait_until_async(lambda: told(epoch + 1), timeout_s=10.0, what="the newer epoch is told")  # noqa: B023 - called at once
            assert not (await directory.arrive()).succeeded
            assert await told(epoch + 1)
        telling.cancel()


async def told_lost(directory: LateDirectory) -> bool:
    return directory.held is not None
