"""A layout is published once, and what somebody else wrote in its place ends the epoch, whatever it is."""

from pathlib import Path

import pytest

from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterView
from foreman.control.recovery.outcome import Next, Superseded
from foreman.control.recovery.publishing import layout_of, publish
from foreman.control.recovery.recovery import Recovery
from foreman.control.teams import StoragePlan
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Directory, Put
from foreman.directory.records import ClusterSpec, Layout, Placement, StorageTeam, encode, readable
from foreman.directory.sqlite.engine import SqliteDirectory
from tests.control.tools import tools_with

KEYS = ClusterKeys("demo")


async def recovery_on(directory: Directory) -> Recovery:
    """One that has come to publishing, under a leader and an epoch that stand there."""
    written = await directory.transact([], [Put(KEYS.leader, b"leads"), Put(KEYS.epoch, b"7")])
    tools = tools_with(directory=directory, keys=KEYS, leader_revision=written.revision, epoch_revision=written.revision)
    recovery = Recovery(Attempt(7, "0badcafe"), tools, ClusterView(), ClusterSpec(1, 1))
    recovery.logs = (Placement("log", "n1"),)
    recovery.storage = StoragePlan((StorageTeam(b"", None, (Placement("storage", "n1"),)),))
    return recovery


async def test_a_write_whose_answer_was_lost_is_recognised(tmp_path: Path) -> None:
    async with SqliteDirectory(tmp_path / "directory.sqlite") as directory:
        recovery = await recovery_on(directory)
        assert await publish(recovery) == Next("watching")
        assert await publish(recovery) == Next("watching"), "it was written, and nobody said so"
        assert readable(Layout, await directory.get(KEYS.layout)) == layout_of(recovery) == recovery.layout


@pytest.mark.parametrize(
    "written",
    [b"", b"{}", b"\xff", encode(Layout(9, "f" * 8, 0, (Placement("l", "n"),), (StorageTeam(b"", None, (Placement("s", "n"),)),)))],
)
async def test_what_somebody_else_wrote_meanwhile_ends_the_epoch(tmp_path: Path, written: bytes) -> None:
    async with SqliteDirectory(tmp_path / "directory.sqlite") as directory:
        recovery = await recovery_on(directory)
        await directory.transact([], [Put(KEYS.layout, written)])
        assert isinstance(await publish(recovery), Superseded)
        assert recovery.layout is None
