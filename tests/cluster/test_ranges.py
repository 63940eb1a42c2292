"""Real ranges: each member holds its team's keys and no others; cuts and merges lose nothing, under pushes and when a machine is lost."""

from pathlib import Path

import pytest

from foreman.api.cluster_layouts import DirectoryLayouts
from foreman.core.data_errors import WrongKeyRange
from foreman.directory.opening import open_directory
from foreman.directory.records import Layout, StorageTeam
from foreman.workers.clients import StorageClient
from foreman.workers.clients.cluster_client import ClusterClient
from foreman.workers.storage.key_range import KeyRange, parse_key_range
from tests.cluster.nodes import CLUSTER, RealCluster, RealNode, expected, real_cluster
from tests.cluster.pushing import Pushing, pushing
from tests.cluster.steps import configure
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(240)


async def wish(cluster: RealCluster, *splits: str) -> None:
    options = [word for split in splits or ("",) for word in ("--split", split)]
    await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--replace-after", "2", *options)


async def each_member_holds_its_keys_and_no_others(cluster: RealCluster, layout: Layout) -> None:
    for team in layout.teams:
        for member in team.members:
            async with StorageClient.connect(await cluster.endpoint(member)) as storage:
                [held] = (await storage.info("key_ranges"))["key_ranges"]
                assert parse_key_range(held) == KeyRange(team.begin, team.end)
                for key in outside(team):
                    with pytest.raises(WrongKeyRange):
                        await storage.get(key)


def outside(team: StorageTeam) -> list[bytes]:
    """Keys that it does not hold, some of them just so."""
    return [*([b"", team.begin[:-1]] if team.begin else []), *([team.end, b"\xff"] if team.end is not None else [])]


async def a_client_reads_all(cluster: RealCluster, client: Pushing) -> None:
    """Each key from its team, by the layout."""
    count = client.acknowledged
    async with open_directory(cluster.directory) as directory, ClusterClient(DirectoryLayouts(directory, CLUSTER)) as reader:
        wanted = expected(count)
        assert await reader.get_many(list(wanted), version=count) == list(wanted.values())


async def somebody_is_filled_with_all_keys(cluster: RealCluster) -> Layout | None:
    """The layout in which workers of the merged range are joining."""
    layout = (await cluster.view()).layout
    assert layout is not None
    return layout if any(joiner.keys == (b"", None) for team in layout.teams for joiner in team.joining) else None


def bystander(cluster: RealCluster, layout: Layout, leader: RealNode) -> RealNode:
    """A node that is lost at no small cost: it has members, and does not lead."""
    nodes = {member.node for team in layout.teams for member in team.members}
    return next(node for node in cluster.nodes.values() if node.id in nodes and node is not leader)


async def test_keys_move_while_they_are_written_and_a_machine_is_lost_in_the_midst_of_a_merge(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        await wish(cluster, "key 5")
        first = await cluster.cut_at(b"key 5", members=2)
        async with pushing(cluster) as client:
            await client.go_on(100)
            await each_member_holds_its_keys_and_no_others(cluster, first)
            await a_client_reads_all(cluster, client)

            await wish(cluster, "key 3", "key 7")
            second = await cluster.cut_at(b"key 3", b"key 7", above=first.epoch, members=2)
            await client.go_on()
            await each_member_holds_its_keys_and_no_others(cluster, second)
            await a_client_reads_all(cluster, client)

            await wish(cluster)
            merging = await wait_until_async(lambda: somebody_is_filled_with_all_keys(cluster), timeout_s=30.0, what="a merge begins")
            assert merging is not None
            await bystander(cluster, merging, await cluster.leader()).pull_the_plug()
            third = await cluster.cut_at(above=second.epoch, members=2)
            await client.go_on()
            await each_member_holds_its_keys_and_no_others(cluster, third)
            await a_client_reads_all(cluster, client)
