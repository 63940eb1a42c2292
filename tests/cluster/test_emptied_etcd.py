"""etcd's disk is lost. What the cluster knew is gone, and it says so: nothing is begun over data that nodes still have.

An operator then restores etcd from a copy, and the cluster goes on with all its data; or gives the data up, and it begins anew.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import pytest

from foreman.api.client import RemoteForeman
from foreman.control.cluster_view import ClusterView
from foreman.core.generations import is_directed
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.port import Put
from foreman.directory.records import EpochRecord, encode
from tests.cluster.nodes import CLUSTER, RealCluster, RealNode, expected, real_cluster
from tests.cluster.steps import all_are_there, all_members_have, configure, has_a_log_on, on_etcd, workers_of
from tests.deadline import wait_until_async
from tests.directory.conftest import needs_etcd
from tests.directory.etcd_server import EtcdCluster

pytestmark = pytest.mark.timeout(240)
LONG_LEASE_S: Final = 4.0
"""Not lost on a busy machine: a recovery after the copy would make it worthless."""
NO_ETCDCTL: Final = "NOT TESTED: an etcd that is restored from a copy. No `etcdctl` on this machine; install Debian's etcd-client"


@needs_etcd
@pytest.mark.skipif(shutil.which("etcdctl") is None, reason=NO_ETCDCTL)
async def test_it_is_said_and_nothing_is_begun_until_somebody_decides(tmp_path: Path) -> None:
    async with on_etcd(tmp_path, 1, lease_s=LONG_LEASE_S) as (cluster, etcd, first):
        await cluster.push_to(50)
        etcd.members[0].save(tmp_path / "copy")
        await cluster.push_to(80)
        before = await workers_of(cluster)

        lose_the_disk(etcd)
        await it_is_said(cluster, before=before)
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2")
        await it_is_said(cluster, before=before)

        etcd.end()
        etcd.forget()
        etcd.members[0].restore(tmp_path / "copy")
        etcd.start()
        second = await cluster.serving(above=first.epoch, members=2)
        assert second.last_version == 80, "all that was pushed, also after the copy was made"
        await cluster.push_to(90)
        await all_members_have(cluster, 90, members=2)

        before = await workers_of(cluster)
        lose_the_disk(etcd)
        await it_is_said(cluster, before=before)
        for node in cluster.nodes.values():
            await give_up(node)
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2")
        assert (await cluster.serving()).last_version == 0
        await cluster.push_to(10)
        await all_members_have(cluster, 10)


def lose_the_disk(etcd: EtcdCluster) -> None:
    etcd.end()
    etcd.forget()
    etcd.start()


async def it_is_said(cluster: RealCluster, *, before: set[int]) -> None:
    """Every node is registered again with all that runs on it, and the status names each worker that has data."""
    await wait_until_async(lambda: all_are_there(cluster), timeout_s=60.0, what="every node is registered again")
    stalls = await stalled_lines(cluster)

    async def said_again() -> tuple[ClusterView, ...]:
        view = await cluster.view()
        more = await stalled_lines(cluster) >= stalls + 2
        return (view,) if more and view.status is not None and view.status.state == "stalled" else ()

    [view] = await wait_until_async(said_again, timeout_s=60.0, what="the loss is said, once more than by those who had begun before")
    assert view.status is not None
    assert "emptied or replaced" in view.status.why
    assert view.layout is None
    with_data = {missing.split()[0] for missing in view.status.missing if "has data" in missing}
    assert with_data == {worker.id for worker in await cluster.workers() if is_directed(worker.id)}
    assert {place.id for place in view.services} >= with_data
    assert await workers_of(cluster) == before


async def stalled_lines(cluster: RealCluster) -> int:
    return sum(line.what.startswith("the recovery stalled in initialising") for line in (await cluster.view()).story.lines)


async def give_up(node: RealNode) -> None:
    """What `foreman rm` does."""
    async with RemoteForeman.connect(node.data) as foreman:
        results = await foreman.remove_workers([worker.id for worker in await foreman.all() if is_directed(worker.id)])
    assert set(results.values()) <= {None}


@pytest.mark.parametrize("higher", [False, True], ids=["as old an epoch", "a higher epoch"])
async def test_who_comes_late_with_data_keeps_it(tmp_path: Path, *, higher: bool) -> None:
    async with real_cluster(tmp_path, ("a", "b")) as cluster:
        if higher:
            await had_epochs(cluster, 7)
        await configure(cluster.nodes["a"], "--logs", "1", "--storage-replicas", "1")
        first = await cluster.serving()
        await cluster.push_to(30)
        [member] = first.teams[0].members
        nodes, late = list(cluster.nodes.values()), cluster.node(member.node)
        empty = [node for node in nodes if node.id not in {member.node, first.logs[0].node}]
        assert empty, "one node has both"
        await asyncio.gather(*(node.down() for node in nodes))
        for file in tmp_path.glob("directory.db*"):
            file.unlink()

        await asyncio.gather(*(node.up() for node in empty))
        await configure(empty[0], "--logs", "1", "--storage-replicas", "1")
        second = await cluster.serving()
        assert second.last_version == 0, "none of those who are there has data"
        assert (second.epoch < first.epoch) == higher
        await late.up()
        left_alone = f"node {late.id} is left alone"
        await wait_until_async(lambda: told(cluster, left_alone), timeout_s=40.0, what=left_alone)
        assert await cluster.read(member, 30) == expected(30)
        await give_up(late)
        await configure(late, "--logs", "3")
        await wait_until_async(lambda: has_a_log_on(cluster, late), timeout_s=40.0, what="it is a node like any other")


async def had_epochs(cluster: RealCluster, epoch: int) -> None:
    async with open_directory(cluster.directory) as directory:
        await directory.transact([], [Put(ClusterKeys(CLUSTER).epoch, encode(EpochRecord(epoch, "somebody")))])


async def told(cluster: RealCluster, what: str) -> bool:
    return any(line.what == what for line in (await cluster.view()).story.lines)
