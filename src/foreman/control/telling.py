"""What a leader does, written where everybody can read it: the status under its lease, and the story, bounded and lasting.

Never in the way of a recovery: it is written by a task beside, the newest state of many, and each write compares the leader's record, so a
deposed leader tells nothing. An outage of the directory delays it and nothing else.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from foreman.directory.checks import fitting
from foreman.directory.errors import DirectoryError, DirectoryUnavailable
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Comparison, Directory, LeaseId, Put, Unchanged, as_it_is
from foreman.directory.records import MAX_STORY_LINES, ClusterStoryLine, StatusRecord, StoryRecord, encode

COALESCE_S: Final = 0.02
AGAIN_S: Final = 0.5
MAX_REASON: Final = 600
MAX_MISSING: Final = 50

Names = Callable[[Sequence[ClusterStoryLine]], Mapping[str, str]]
_log = structlog.get_logger("foreman.director")


def _said(text: str) -> str:
    """A record that could not be written would end the term of the leader."""
    return fitting(text, MAX_REASON)


class Teller:
    """``wall``: Unix time, for people. ``names``: those that a story of these lines keeps. Changes close together are one write."""

    def __init__(self, directory: Directory, keys: ClusterKeys, node: str, wall: Callable[[], float], names: Names) -> None:
        self._directory, self._keys, self._node, self._wall, self._names = directory, keys, node, wall, names
        self._lines: tuple[ClusterStoryLine, ...] = ()
        self._status = StatusRecord(0, "", node, "waiting", "", "", (), wall())
        self._dirty = asyncio.Event()

    def go_on_after(self, story: StoryRecord) -> None:
        """Take over what earlier leaders told."""
        self._lines = story.lines

    def tell(self, what: str, reason: str) -> None:
        """A line of the story."""
        _log.info(what, epoch=self._status.epoch, reason=reason)
        line = ClusterStoryLine(self._wall(), self._status.epoch, _said(what), _said(reason))
        self._lines = (*self._lines, line)[-MAX_STORY_LINES:]
        self._dirty.set()

    def status(self, state: str, phase: str, *, why: str = "", missing: tuple[str, ...] = ()) -> None:
        """What the director does now. ``state``: recovering, stalled or watching."""
        now = self._status
        told = (now.state, now.phase, now.why, now.missing)
        new = (state, phase, _said(why), tuple(_said(each) for each in missing[:MAX_MISSING]))
        if told != new:
            self._status = StatusRecord(now.epoch, now.recovery_id, self._node, *new, self._wall())
            self._dirty.set()

    def begin(self, epoch: int, recovery_id: str) -> None:
        """A director of another epoch speaks from now on. The first of its leader says that another leads."""
        is_first = self._status.epoch == 0
        self._status = StatusRecord(epoch, recovery_id, self._node, "recovering", "", "", (), self._wall())
        if is_first:
            self.tell(f"node {self._node} leads", "the leader before it is gone" if self._lines else "nobody did")

    async def run(self, lease: LeaseId, leader_revision: int) -> None:
        """Until this leader is deposed.

        Each write compares the one before it: one that comes late, after its repetition, would bring back what was.
        """
        before: Comparison | None = None
        written: StoryRecord | None = None
        while True:
            await self._dirty.wait()
            await asyncio.sleep(COALESCE_S)
            self._dirty.clear()
            operations = [Put(self._keys.status, encode(self._status), lease)]
            story = StoryRecord(self._lines, self._names(self._lines))
            if story != written:
                operations.append(Put(self._keys.story, encode(story)))
            try:
                if before is None:
                    before = as_it_is(self._keys.status, await self._directory.get(self._keys.status))
                committed = await self._directory.transact([Unchanged(self._keys.leader, leader_revision), before], operations)
                if committed.succeeded:
                    before, written = Unchanged(self._keys.status, committed.revision), story
                elif await self._leads(leader_revision):
                    before = None
                    self._dirty.set()
                else:
                    return
            except DirectoryUnavailable:
                before = None
                self._dirty.set()
                await asyncio.sleep(AGAIN_S)
            except DirectoryError:
                return

    async def _leads(self, leader_revision: int) -> bool:
        leader = await self._directory.get(self._keys.leader)
        return leader is not None and leader.mod_revision == leader_revision
