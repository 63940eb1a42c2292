"""A ClusterClient pushes and reads while the cluster loses a log, a machine and its leader: nothing is lost, nothing is there twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from foreman import Foreman
from foreman.api.cluster_layouts import DirectoryLayouts
from foreman.core.mutations import Set
from foreman.directory.opening import open_directory
from foreman.directory.records import Placement
from foreman.workers.clients import ClusterClient
from foreman.workers.clients.cluster_layout import ClusterLayout
from tests.cluster.nodes import CLUSTER, HEALED_WITHIN_S, RealCluster, real_cluster
from tests.cluster.steps import configure
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def client_by_directory(cluster: RealCluster) -> AsyncIterator[ClusterClient]:
    async with open_directory(cluster.directory) as directory, ClusterClient(DirectoryLayouts(directory, CLUSTER)) as client:
        yield client


async def kill(cluster: RealCluster, worker: Placement) -> None:
    pid = (await cluster.info(worker)).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def test_pushes_and_reads_go_on_through_a_lost_log_and_a_lost_leader(tmp_path: Path) -> None:
    async with (
        real_cluster(tmp_path) as cluster,
        client_by_directory(cluster) as other,
        Foreman.connect_cluster(*(node.data for node in cluster.nodes.values())) as client,
    ):
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--split", "key 5")
        pushed: dict[bytes, bytes] = {}
        versions: list[int] = []
        ending = asyncio.Event()

        async def push() -> None:
            while not ending.is_set():
                number = len(pushed)
                key, value = b"key %d" % number, b"value %d" % number
                pushed[key] = value
                versions.append(await client.push([Set(key, value)]))

        pushing = [asyncio.create_task(push()) for _ in range(4)]
        first = await cluster.serving(members=2)
        await wait_until_async(lambda: len(versions) > 50, timeout_s=HEALED_WITHIN_S)
        await kill(cluster, first.logs[0])
        second = await client.layout(after=first.epoch)
        await goes_on(client, second)

        leader, before = await cluster.leader(), await client.layout()
        await leader.pull_the_plug()
        await goes_on(client, await client.layout(after=before.epoch))
        ending.set()
        await asyncio.gather(*pushing)
        assert sorted(versions) == list(range(1, len(pushed) + 1)), "each transaction once, without gaps"
        assert client.under_way == []

        last = client.acknowledged
        assert last == len(pushed)
        for reader in (client, other):
            assert await reader.get_many(list(pushed), version=last) == list(pushed.values())
            assert await reader.get(b"nothing", version=last) is None
            assert await everything(reader, last) == pushed
        assert await other.push([Set(b"after", b"all")]) == last + 1, "one that begins to write goes on where the last one ended"


async def goes_on(client: ClusterClient, layout: ClusterLayout) -> None:
    await wait_until_async(
        lambda: client.acknowledged > layout.last_version + 50, timeout_s=HEALED_WITHIN_S, what=f"pushes by {layout.epoch}"
    )


async def everything(client: ClusterClient, version: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    begin, more = b"", True
    while more:
        pairs, more = await client.get_range(begin, version=version, limit=100)
        assert not found.keys() & dict(pairs).keys()
        found |= pairs
        begin = pairs[-1][0] + b"\0" if pairs else begin
    return found
