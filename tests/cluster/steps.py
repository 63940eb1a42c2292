"""What is done with real clusters in many tests, and what is waited for. Owns nothing: nodes.py has the processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from foreman.control.named import names_of
from foreman.directory.records import Layout
from tests.cluster.nodes import LEASE_S, RealCluster, RealNode, expected, real_cluster
from tests.directory.etcd_server import EtcdCluster, etcd_cluster


@asynccontextmanager
async def on_etcd(
    folder: Path, members: int, *, logs: int = 2, lease_s: float = LEASE_S
) -> AsyncIterator[tuple[RealCluster, EtcdCluster, Layout]]:
    """A cluster that serves, with copies on two nodes."""
    (folder / "etcd").mkdir()
    with etcd_cluster(folder / "etcd", members) as etcd:
        async with real_cluster(folder, directory=etcd.url, lease_s=lease_s) as cluster:
            await configure(cluster.nodes["a"], "--logs", str(logs), "--storage-replicas", "2", "--replace-after", "600")
            yield cluster, etcd, await cluster.serving(members=2)


async def configure(node: RealNode, *arguments: str) -> None:
    command = [sys.executable, "-m", "foreman", "cluster", "configure", *arguments, "--config", str(node.config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


async def all_members_have(cluster: RealCluster, count: int, *, members: int = 1) -> None:
    """Every member of the layout of now."""
    layout = await cluster.serving(members=members)
    for team in layout.teams:
        for member in team.members:
            assert await cluster.read(member, count, team) == expected(count, team)


async def all_are_there(cluster: RealCluster) -> bool:
    return {node.id for node in cluster.nodes.values()} == (await cluster.view()).nodes.keys()


async def only_named_workers_run(cluster: RealCluster) -> bool:
    layout = (await cluster.view()).layout
    assert layout is not None
    return set(await cluster.workers()) == names_of(layout)


async def has_a_log_on(cluster: RealCluster, node: RealNode) -> bool:
    layout = (await cluster.view()).layout
    return layout is not None and node.id in {log.node for log in layout.logs}


async def workers_of(cluster: RealCluster) -> set[int]:
    """The pids of all workers."""
    for node in cluster.nodes.values():
        await node.remember()
    return {pid for node in cluster.nodes.values() for pid in node.pids}
