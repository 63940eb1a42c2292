"""What another process does to a directory file: run as a program, it says `ready` when it is at the point its story is about."""

import asyncio
import sqlite3
import sys
from pathlib import Path

from foreman.core.views import ServiceInfo
from foreman.directory.port import Put, Unchanged
from foreman.directory.records import NodeRecord
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.node.gateway import Gateway


async def hold_a_lease(path: Path) -> None:
    """A key under a lease of one second, kept by nobody."""
    async with SqliteDirectory(path) as directory:
        lease = await directory.grant_lease(1.0)
        await directory.transact([], [Put(b"/held", b"", lease.id)])
        _say_ready()
        await asyncio.Event().wait()


async def write_pairs(path: Path) -> None:
    """Two keys that are always equal, as fast as it goes, half of the transactions made durable."""
    async with SqliteDirectory(path) as directory:
        lease = (await directory.grant_lease(60.0)).id
        number = 0
        while True:
            value = b"%d" % number
            await directory.transact(
                [], [Put(b"/a", value, lease if number % 2 else None), Put(b"/b", value, lease if number % 2 else None)]
            )
            if number == 5:
                _say_ready()
            number += 1


async def count(path: Path) -> None:
    """Raise a number a hundred times by compare and set, among others who do the same."""
    async with SqliteDirectory(path) as directory:
        for _ in range(100):
            while True:
                entry = await directory.get(b"/number")
                assert entry is not None
                raised = Put(b"/number", b"%d" % (int(entry.value) + 1))
                if (await directory.transact([Unchanged(b"/number", entry.mod_revision)], [raised])).succeeded:
                    break


async def be_a_node(path: Path) -> None:
    """Two services on a node whose lease lasts a second."""
    async with SqliteDirectory(path) as directory:
        gateway = Gateway(directory, "demo", NodeRecord("n1", "unix:/x"), lease_s=1.0)
        await gateway.start([ServiceInfo("log_1", "log", "demo_log_1"), ServiceInfo("log_2", "log", "demo_log_2")])
        assert await gateway.settled(10.0)
        _say_ready()
        await asyncio.Event().wait()


async def stand_in_the_way(path: Path) -> None:
    """Hold the write lock of the file, half-way through a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE facts SET revision = revision + 1000")
    _say_ready()
    await asyncio.Event().wait()


def _say_ready() -> None:
    print("ready", flush=True)


STORIES = {story.__name__: story for story in (hold_a_lease, write_pairs, count, be_a_node, stand_in_the_way)}

if __name__ == "__main__":
    asyncio.run(STORIES[sys.argv[1]](Path(sys.argv[2])))
