"""A range that is cut among several replicas is copied from all of them, each part at a version of its own, and the whole is exact."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import redis.asyncio as redis

from foreman.core.mutations import ClearRange, Set
from tests.workers.storage.asking import everything, until_durable, wait_for
from tests.workers.storage.fake_replica import FakeReplica
from tests.workers.storage.refilling_cluster import REPLICA, Cluster, ready
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


async def test_a_range_that_several_hold_is_copied_from_several(
    cluster: Cluster, home: Path, start_worker: Start, connect: Connect
) -> None:
    """One has the first half, the other the second; writes go on, and the second one is a little behind the first."""
    async with FakeReplica(home, "storage_8") as other:

        def write() -> None:
            other.version, other.pairs = cluster.replica.version, dict(cluster.replica.pairs)
            cluster.push_some()

        cluster.replica.page_keys, cluster.replica.before_page = 7, write
        other.page_keys = 7
        write()
        other.key_ranges, cluster.replica.key_ranges = '[["050",null]]', '[["","050"]]'
        worker = start_worker({**REPLICA, "replicas": ["storage_8", "storage_9"]}, begin=True)
        await ready(worker)
        client = connect(worker)
        await wait_for(client, cluster.replica.version)
        assert await everything(client, cluster.replica.version) == cluster.replica.pairs
        assert max(cluster.replica.begins) < b"050" <= min(other.begins)


async def test_a_part_is_not_copied_from_a_replica_that_is_behind_the_first_part(
    cluster: Cluster, home: Path, start_worker: Start, connect: Connect
) -> None:
    """The logs would be applied from version 3 on: what it lacks of version 3 would never come."""
    async with FakeReplica(home, "storage_8") as other:
        cluster.push([Set(b"099", b"old")])
        cluster.recycle()
        other.version, other.pairs = cluster.replica.version, dict(cluster.replica.pairs)
        cluster.push([Set(b"099", b"new")])
        other.key_ranges, cluster.replica.key_ranges = '[["050",null]]', '[["","050"]]'
        worker = start_worker({**REPLICA, "replicas": ["storage_8", "storage_9"]}, begin=True)

        def holds(health: str) -> bool:
            return "storage_8: ValueError: it is at version 2, and what is wanted begins at 3" in health

        await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:refilling", holds=holds)
        assert max(cluster.replica.begins) < b"050"
        assert other.begins == []
        other.version, other.pairs = cluster.replica.version, cluster.replica.pairs
        await ready(worker)
        assert await everything(connect(worker)) == cluster.replica.pairs


async def test_what_is_old_is_dropped_when_several_hold_all_of_it_together(
    cluster: Cluster, home: Path, start_worker: Start, connect: Connect
) -> None:
    """A range that was cut while the worker was away: nobody holds all of it any more, and yet it must come back."""
    cluster.log.oldest = 0
    worker = start_worker({**REPLICA, "replicas": ["storage_8", "storage_9"]}, begin=True)
    await ready(worker)
    await until_durable(connect(worker), 1)
    worker.kill()
    async with FakeReplica(home, "storage_8") as other:
        cluster.push([Set(b"000", b"later"), Set(b"099", b"later")])
        cluster.push([ClearRange(b"040", b"060")])
        cluster.recycle()
        other.version, other.pairs = cluster.replica.version, cluster.replica.pairs
        other.key_ranges, cluster.replica.key_ranges = '[["060",null]]', '[["","050"]]'
        client = connect(worker.start())
        await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:VERSIONTOOOLD")
        assert await client.get("050") == b"v50", "ten keys are held by nobody: what is here may be the last there is"
        other.key_ranges = '[["050",null]]'
        await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "ok")
        assert await everything(client) == cluster.replica.pairs


async def test_replicas_that_lag_and_change_their_ranges_in_the_midst_make_one_whole(
    cluster: Cluster, home: Path, start_worker: Start, connect: Connect
) -> None:
    """Three replicas, each at some version of the last few, none for long with the same keys; together they hold all, in the end."""
    history: list[dict[bytes, bytes]] = [{}, cluster.replica.pairs]
    choice = cluster.choice
    async with FakeReplica(home, "storage_7") as one, FakeReplica(home, "storage_8") as two:
        replicas = [cluster.replica, one, two]

        def write() -> None:
            now = len(history)
            cluster.replica.version, cluster.replica.pairs = now - 1, history[-1]
            cluster.push_some()
            history.append(cluster.replica.pairs)
            for replica in replicas:
                replica.version = max(replica.version, choice.randrange(max(1, now - 4), now + 1))
                replica.pairs = history[replica.version]
                if choice.random() < 0.2:
                    cut(replica)

        def cut(replica: FakeReplica) -> None:
            begin, end = choice.randrange(1, 60), choice.randrange(80, 110)
            parts = [["", f"{end - 30:03}"], [f"{begin:03}", f"{end:03}"], [f"{begin:03}", None]]
            replica.key_ranges = json.dumps([parts[replicas.index(replica)]])

        for replica in replicas:
            replica.page_keys, replica.before_page = 3, write
            cut(replica)
        worker = start_worker({**REPLICA, "replicas": ["storage_9", "storage_7", "storage_8"]}, begin=True)
        told = asyncio.create_task(ready(worker))
        while not (await asyncio.wait([told], timeout=0.1))[0]:
            write()  # whoever holds what is wanted, sooner or later
        told.result()
        client = connect(worker)
        await wait_for(client, len(history) - 1)
        assert await everything(client, len(history) - 1) == history[-1]
        assert cluster.replica.begins, "nobody else ever holds the first keys"
        assert one.begins or two.begins, "it never holds the last ones"
