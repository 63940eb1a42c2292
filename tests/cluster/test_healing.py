"""Three real nodes: a cluster is wished for and appears, data flows, a machine is lost, and nothing acknowledged is."""

import asyncio
import signal
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.core.errors import ForemanError
from foreman.directory.records import Layout
from foreman.workers.clients import LogSet
from tests.cluster.nodes import RealCluster, RealNode, real_cluster, transaction
from tests.cluster.steps import all_members_have, configure, only_named_workers_run
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(150)


async def test_a_lost_machine_costs_nothing_that_was_acknowledged_and_comes_back_to_no_harm(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--replace-after", "1")
        first = await cluster.serving()
        assert len({log.node for log in first.logs}) == 2, "on two fault domains"
        await cluster.push_to(200)
        await all_members_have(cluster, 200)
        for member in first.teams[0].members:
            await cluster.durable(member, 200)

        lost = cluster.node(first.logs[0].node)
        await lost.pull_the_plug()
        second = await cluster.serving(above=first.epoch)
        assert second.last_version == second.durable_version == 200, "the new logs do not go back: who is new must copy"
        assert lost.id not in {log.node for log in second.logs}
        await cluster.push_to(250)
        await all_members_have(cluster, 250)

        whole = await cluster.serving(above=first.epoch, members=2)
        assert lost.id not in {member.node for team in whole.teams for member in team.members}, "another took its place"
        await all_members_have(cluster, 250, members=2)

        await lost.up()
        await wait_until_async(lambda: nothing_is_left_of(lost, first), timeout_s=30.0, what="its old workers are removed")
        await all_members_have(cluster, 250, members=2)


async def nothing_is_left_of(node: RealNode, layout: Layout) -> bool:
    async with RemoteForeman.connect(node.data) as foreman:
        here = {worker.id for worker in await foreman.all()}
    return not here & {log.id for log in layout.logs}


async def test_the_leader_itself_is_lost_in_the_midst_of_pushes(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "3", "--split", "key 5")
        first = await cluster.serving()
        lost = await cluster.leader()
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
        await cluster.push_to(count + 10)
        await all_members_have(cluster, count + 10)


async def push_until_it_fails(cluster: RealCluster, layout: Layout, acknowledged: asyncio.Queue[int]) -> int:
    """The last version that was acknowledged."""
    endpoints = [await cluster.endpoint(log) for log in layout.logs]
    version = 0
    async with LogSet.connect(endpoints, timeout=2.0) as logs:
        while True:
            try:
                await logs.push(version + 1, version, transaction(version), epoch=layout.epoch)
            except ForemanError:
                return version
            version += 1
            acknowledged.put_nowait(version)


async def test_the_wish_changes_and_the_cluster_follows_with_its_data(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "1", "--storage-replicas", "1")
        first = await cluster.serving()
        await cluster.push_to(100)
        await cluster.durable(first.teams[0].members[0], 100)
        await configure(cluster.nodes["b"], "--logs", "3", "--storage-replicas", "2", "--split", "key 5")
        grown = await cluster.cut_at(b"key 5", above=first.epoch, members=2)
        assert len(grown.logs) == 3
        assert all(len({member.node for member in team.members}) == 2 for team in grown.teams)
        await cluster.push_to(120)
        await all_members_have(cluster, 120, members=2)
        await configure(cluster.nodes["c"], "--logs", "1", "--storage-replicas", "1", "--split", "")
        await cluster.cut_at(above=grown.epoch)
        await wait_until_async(lambda: only_named_workers_run(cluster), timeout_s=30.0, what="what no layout names is removed")
        await all_members_have(cluster, 120)


async def test_a_leader_that_was_stopped_past_its_lease_commands_nothing_when_it_goes_on(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--replace-after", "600")
        first = await cluster.serving()
        stopped = await cluster.leader()
        stopped.signal(signal.SIGSTOP)
        await wait_until_async(lambda: another_leads(cluster, stopped.id), timeout_s=20.0, what="another leads")
        await cluster.push_to(50)
        stopped.signal(signal.SIGCONT)
        await cluster.push_to(100)
        last = await cluster.serving(members=2)
        assert last.epoch > first.epoch or stopped.id not in {log.node for log in first.logs}
        await all_members_have(cluster, 100, members=2)


async def another_leads(cluster: RealCluster, former: str) -> bool:
    leader = (await cluster.view()).leader
    return leader is not None and leader.node != former


async def test_nodes_command_one_another_over_tls(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, tls=True) as cluster:
        await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "2")
        first = await cluster.serving(members=2)
        assert len({log.node for log in first.logs}) == 3
        assert all(node.address.startswith("https://127.0.0.1:") for node in (await cluster.view()).nodes.values())
        await cluster.push_to(20)
        await all_members_have(cluster, 20, members=2)
