"""What a leader does, written where everybody can read it: the status under its lease, and the story, bounded and lasting.

Never in the way of a recovery: it is written by a task beside, the newest state of many, and each write compares the leader's record, so a
deposed leader tells nothing. An outage of the directory delays it and nothing else.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from foreman.directory.errors import DirectoryError, DirectoryUnavailable
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Directory, LeaseId, Put, Unchanged
from foreman.directory.records import MAX_STORY_LINES, ClusterStoryLine, StatusRecord, StoryRecord, encode

COALESCE_S: Final = 0.02
AGAIN_S: Final = 0.5
MAX_REASON: Final = 600
MAX_MISSING: Final = 50

_log = structlog.get_logger("foreman.director")


class Teller:
    """``wall``: Unix time, for people. Changes within a few milliseconds are one write."""

    def __init__(self, directory: Directory, keys: ClusterKeys, node: str, wall: Callable[[], float]) -> None:
        self._directory, self._keys, self._node, self._wall = directory, keys, node, wall
        self._lines: tuple[ClusterStoryLine, ...] = ()
        self._status = StatusRecord(0, "", node, "waiting", "", "", (), wall())
        self._dirty = asyncio.Event()

    def go_on_after(self, story: StoryRecord) -> None:
        """Take over what earlier leaders told."""
        self._lines = story.lines

    def tell(self, what: str, reason: str) -> None:
        """A line of the story."""
        _log.info(what, epoch=self._status.epoch, reason=reason)
        line = ClusterStoryLine(self._wall(), self._status.epoch, what[:MAX_REASON], reason[:MAX_REASON])
        self._lines = (*self._lines, line)[-MAX_STORY_LINES:]
        self._dirty.set()

    def status(self, state: str, phase: str, *, why: str = "", missing: tuple[str, ...] = ()) -> None:
        """What the director does now. ``state``: recovering, stalled or watching."""
        now = self._status
        told = (now.state, now.phase, now.why, now.missing)
        new = (state, phase, why[:MAX_REASON], tuple(each[:MAX_REASON] for each in missing[:MAX_MISSING]))
        if told != new:
            self._status = StatusRecord(now.epoch, now.recovery_id, self._node, *new, self._wall())
            self._dirty.set()

    def begin(self, epoch: int, recovery_id: str) -> None:
        """A director of another epoch speaks from now on."""
        self._status = StatusRecord(epoch, recovery_id, self._node, "recovering", "", "", (), self._wall())

    async def run(self, lease: LeaseId, leader_revision: int) -> None:
        """Until this leader is deposed."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(COALESCE_S)
            self._dirty.clear()
            operations = [Put(self._keys.status, encode(self._status), lease), Put(self._keys.story, encode(StoryRecord(self._lines)))]
            try:
                committed = await self._directory.transact([Unchanged(self._keys.leader, leader_revision)], operations)
            except DirectoryUnavailable:
                self._dirty.set()
                await asyncio.sleep(AGAIN_S)
            except DirectoryError:
                return
            else:
                if not committed.succeeded:
                    return
