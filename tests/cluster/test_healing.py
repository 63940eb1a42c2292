"""Three real nodes: a cluster is wished for and appears, data flows, a machine is lost, and nothing acknowledged is."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.core.errors import ForemanError
from foreman.core.mutations import Mutation, Set
from foreman.directory.records import Layout
from foreman.workers.clients import LogSet
from tests.cluster.nodes import RealCluster, RealNode, real_cluster
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(150)


async def configure(node: RealNode, *arguments: str) -> None:
    command = [sys.executable, "-m", "foreman", "cluster", "configure", *arguments, "--config", str(node.config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def transactions(first: int, count: int) -> list[list[Mutation]]:
    return [[Set(b"key %d" % number, b"value %d" % number)] for number in range(first, first + count)]


def expected(count: int) -> dict[bytes, bytes]:
    return {b"key %d" % number: b"value %d" % number for number in range(count)}


async def all_members_have(cluster: RealCluster, layout: Layout, version: int, data: dict[bytes, bytes]) -> None:
    for team in layout.teams:
        for member in team.members:
            assert await cluster.read(member, version) == data


async def test_a_lost_machine_costs_nothing_that_was_acknowledged_and_comes_back_to_no_harm(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--replace-after", "1")
        first = await cluster.serving()
        assert len({log.node for log in first.logs}) == 2, "on two fault domains"
        version = await cluster.push(first, transactions(0, 200), first.last_version)
        await all_members_have(cluster, first, version, expected(200))

        lost = next(node for node in cluster.nodes.values() if node.id == first.logs[0].node)
        await lost.pull_the_plug()
        second = await cluster.serving(above=first.epoch)
        assert second.last_version >= version
        assert lost.id not in {log.node for log in second.logs}
        version = await cluster.push(second, transactions(200, 50), second.last_version)
        await all_members_have(cluster, second, version, expected(250))

        whole = await cluster.serving(above=first.epoch, members=2)
        assert lost.id not in {member.node for team in whole.teams for member in team.members}, "another took its place"
        await all_members_have(cluster, whole, version, expected(250))

        await lost.up()
        await wait_until_async(lambda: nothing_is_left_of(lost, first), timeout_s=30.0, what="its old workers are removed")
        last = await cluster.serving(members=2)
        await all_members_have(cluster, last, version, expected(250))


async def nothing_is_left_of(node: RealNode, layout: Layout) -> bool:
    async with RemoteForeman.connect(node.data) as foreman:
        here = {worker.id for worker in await foreman.all()}
    return not here & {log.id for log in layout.logs}


async def test_the_leader_itself_is_lost_in_the_midst_of_pushes(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "3", "--split", "key 5")
        first = await cluster.serving()
        leader = (await cluster.view()).leader
        assert leader is not None
        lost = next(node for node in cluster.nodes.values() if node.id == leader.node)
        await lost.remember()
        acknowledged = asyncio.Queue[int]()
        pushing = asyncio.create_task(push_until_it_fails(cluster, first, acknowledged))
        for _ in range(20):
            await acknowledged.get()
        await lost.pull_the_plug()
        count = await pushing
        second = await cluster.serving(above=first.epoch)
        assert second.epoch > first.epoch
        assert second.last_version in {count, count + 1}, "all that was acknowledged, and at most the one that was on its way"
        await all_members_have(cluster, second, second.last_version, expected(second.last_version))


async def push_until_it_fails(cluster: RealCluster, layout: Layout, acknowledged: asyncio.Queue[int]) -> int:
    """The last version that was acknowledged."""
    endpoints = [await cluster.endpoint(log) for log in layout.logs]
    version = 0
    async with LogSet.connect(endpoints, timeout=2.0) as logs:
        while True:
            try:
                await logs.push(version + 1, version, transactions(version, 1)[0], epoch=layout.epoch)
            except ForemanError:
                return version
            version += 1
            acknowledged.put_nowait(version)
