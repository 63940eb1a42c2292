"""Three machines with addresses of their own, etcd on a fourth, a client on a fifth; then a machine's cable is cut, and mended.

Network namespaces need root. Without it nothing here is tested, and it says so.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from foreman.api.client import RemoteForeman
from foreman.control.named import names_of
from foreman.core.data_errors import DataPlaneError
from foreman.core.errors import ForemanError
from foreman.core.mutations import Set
from foreman.core.views import ServiceInfo
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.opening import open_directory
from foreman.directory.records import Layout, Placement
from foreman.workers.clients import ClusterClient, LogClient
from tests.cluster.namespaces import Bridge, bridge, why_not
from tests.cluster.nodes import HEALED_WITHIN_S, RealCluster, RealNode, real_cluster, shown_by
from tests.cluster.steps import configure
from tests.cluster.test_network import client_of, push
from tests.deadline import wait_until_async

NODES: Final = ("a", "b", "c")
WHY_NOT: Final = why_not()
pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(WHY_NOT is not None, reason=f"NOT TESTED: {WHY_NOT}")]


@pytest.fixture
def network() -> Iterator[Bridge]:
    with bridge((*NODES, "etcd")) as made:
        yield made


@asynccontextmanager
async def etcd(network: Bridge, folder: Path) -> AsyncIterator[str]:
    """A member on its own machine; the URL of the directory."""
    machine = network.machines["etcd"]
    client, peer = f"http://{machine.host}:2379", f"http://{machine.host}:2380"
    command = [
        *machine.inside, "etcd", "--data-dir", str(folder / "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--log-level", "error",
    ]  # fmt: skip
    url = f"etcd://{machine.host}:2379"
    with (folder / "etcd.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, cwd=folder)
    try:
        await wait_until_async(lambda: _answers(url), timeout_s=HEALED_WITHIN_S, what=f"etcd answers at {url}")
        yield url
    finally:
        process.kill()
        process.wait()


async def _answers(url: str) -> bool:
    try:
        async with open_directory(url) as directory:
            await directory.get(b"nothing")
    except DirectoryUnavailable:
        return False
    return True


async def test_a_machine_that_is_cut_off_costs_nothing_and_comes_back_to_no_harm(tmp_path: Path, network: Bridge) -> None:
    async with (
        etcd(network, tmp_path) as url,
        real_cluster(tmp_path, NODES, tls=True, directory=url, machines={name: network.machines[name] for name in NODES}) as cluster,
        client_of(cluster, tmp_path) as client,
    ):
        await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "2", "--replace-after", "1")
        first = await cluster.serving(members=2)
        assert len({log.node for log in first.logs}) == 3
        pushed: dict[bytes, bytes] = {}
        await push(client, pushed, 100)
        cut = await cluster.leader()
        stale = await endpoint_from_afar(cluster, next(log for log in first.logs if log.node == cut.id))
        before = await services_of(cut)

        network.cut(cut.name)
        pushing = asyncio.create_task(push(client, pushed, 100))  # begun before anybody knows, done by the next layout
        second = await serving_without(cluster, first, cut)
        await pushing
        assert await everything(client) == pushed
        await wait_until_async(lambda: knows_it_is_cut_off(cut), timeout_s=HEALED_WITHIN_S, what=f"{cut.name} knows that it is cut off")
        assert await services_of(cut) == before, "its workers do not notice"

        network.mend(cut.name)
        await wait_until_async(lambda: nothing_runs_twice(cluster), timeout_s=HEALED_WITHIN_S, what="what no layout names is removed")
        await takes_no_pushes(stale, tmp_path, second.epoch)
        version = await push(client, pushed, 20)
        assert await everything(client) == pushed
        last = await cluster.serving(above=first.epoch, members=2)
        for team in last.teams:
            for member in team.members:
                assert await cluster.read(member, version) == pushed


async def serving_without(cluster: RealCluster, before: Layout, node: RealNode) -> Layout:
    layout = await cluster.serving(above=before.epoch)
    assert node.id not in {log.node for log in layout.logs}
    return layout


async def endpoint_from_afar(cluster: RealCluster, worker: Placement) -> str:
    """As other machines reach it."""
    endpoint = (await cluster.info(worker)).endpoint
    assert endpoint is not None
    assert endpoint.startswith(cluster.node(worker.node).machine.host)
    return endpoint


async def everything(client: ClusterClient) -> dict[bytes, bytes]:
    pairs, more = await client.get_range(b"", version=client.acknowledged)
    assert not more
    return dict(pairs)


async def knows_it_is_cut_off(node: RealNode) -> bool:
    async with RemoteForeman.connect(node.data) as foreman:
        return not (await foreman.node()).directory_reachable


async def services_of(node: RealNode) -> list[ServiceInfo]:
    async with RemoteForeman.connect(node.data) as foreman:
        return [*await foreman.get_all_running_services()]


async def nothing_runs_twice(cluster: RealCluster) -> bool:
    """Every worker that runs is one that the layout names, on the node that it names, and everybody is back."""
    view = await cluster.view()
    assert view.layout is not None
    running = await cluster.workers()
    assert len({worker.id for worker in running}) == len(running), "one id on two nodes"
    return view.nodes.keys() == {node.id for node in cluster.nodes.values()} and set(running) == names_of(view.layout)


async def takes_no_pushes(endpoint: str, folder: Path, epoch: int) -> None:
    """Neither for the epoch it knew nor for the new one."""
    async with LogClient.connect(endpoint, timeout=1.0, security=shown_by(folder, "client")) as log:
        for each in (0, epoch - 1, epoch):
            with pytest.raises((DataPlaneError, ForemanError)):
                last = (await log.info("last_version"))["last_version"]
                await log.push(last + 1, last, [Set(b"stale", b"")], epoch=each)
