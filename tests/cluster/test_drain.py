"""A node is drained under pushes: its log and its storage member go to others, nothing acknowledged is lost, and it is taken back."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.control.attempt import origin_of
from foreman.directory.records import Layout
from tests.cluster.nodes import RealCluster, RealNode, real_cluster
from tests.cluster.steps import all_members_have, configure, has_a_log_on
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(150)


async def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "foreman", *arguments]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=90, check=False)


async def test_a_drained_node_is_left_by_all_with_all_their_data_and_comes_back(tmp_path: Path) -> None:
    async with real_cluster(tmp_path) as cluster:
        a = cluster.nodes["a"]
        await configure(a, "--logs", "2", "--storage-replicas", "2")
        first = await cluster.serving(members=2)
        drained = node_with_both(cluster, first)
        elsewhere = next(node for node in cluster.nodes.values() if node is not drained)
        pushing = asyncio.create_task(push_through(cluster, 150))
        asked = await run("node", "drain", drained.name, "--wait", "--timeout", "80", "--data", str(elsewhere.data))
        assert asked.returncode == 0, asked.stdout + asked.stderr + await cluster.story()
        assert f"nothing of the layout is on node {drained.name};" in asked.stdout
        assert "still on it: log-" in asked.stdout
        await wait_until_async(lambda: is_left_by_all(drained), timeout_s=20.0, what="what was there is removed")
        await pushing
        await all_members_have(cluster, 150, members=2)

        status = json.loads((await run("cluster", "status", "--json", "--address", f"unix:{drained.data / 'run' / 'foreman.sock'}")).stdout)
        assert status["draining"] == [drained.id]
        again = await run("node", "drain", "--wait", "--json", "--data", str(drained.data))
        assert json.loads(again.stdout) == {"node": drained.id, "name": drained.name, "draining": True, "left": {}, "staying": []}

        await drained.down()
        await cluster.push_to(170)
        await all_members_have(cluster, 170, members=2)
        await drained.up()
        back = await run("node", "undrain", "--config", str(drained.config))
        assert (back.returncode, back.stdout) == (0, f"node {drained.name} is taken back\n")
        await configure(a, "--logs", "3")
        await wait_until_async(lambda: has_a_log_on(cluster, drained), timeout_s=40.0, what="it is of use again")
        await all_members_have(cluster, 170, members=2)


def node_with_both(cluster: RealCluster, layout: Layout) -> RealNode:
    logs = {log.node for log in layout.logs}
    members = {member.node for team in layout.teams for member in team.members}
    return next(node for node in cluster.nodes.values() if node.id in logs & members)


async def push_through(cluster: RealCluster, count: int) -> None:
    """In small steps, whatever layout there is by then."""
    for done in range(10, count + 1, 10):
        await cluster.push_to(done)


async def is_left_by_all(node: RealNode) -> bool:
    async with RemoteForeman.connect(node.data) as foreman:
        return not any(origin_of(worker.id) is not None for worker in await foreman.all())
