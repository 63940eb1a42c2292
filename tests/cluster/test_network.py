"""Nodes and workers that reach one another over TCP alone, each showing a certificate: a whole life of a cluster, and who is kept out."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from foreman import Foreman
from foreman.api.client import RemoteForeman
from foreman.api.cluster_layouts import DirectoryLayouts
from foreman.core.mutations import Set
from foreman.core.views import WorkerInfo
from foreman.directory.opening import open_directory
from foreman.workers.clients import ClusterClient, LogClient, StorageClient
from foreman.workers.clients.replica import Unreachable
from foreman.workers.storage.key_range import KeyRange
from foreman.workers.wire.tls import client_context
from tests.cluster.nodes import CLUSTER, HEALED_WITHIN_S, RealCluster, RealNode, real_cluster, shown_by
from tests.cluster.steps import configure
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(150)


def connect_as_client(folder: Path, address: str) -> RemoteForeman:
    return RemoteForeman.connect(address, tls=client_context(shown_by(folder, "client")["tls"]))


@asynccontextmanager
async def client_of(cluster: RealCluster, folder: Path) -> AsyncIterator[ClusterClient]:
    """One that has a certificate, and no more of the nodes than the directory tells."""
    async with open_directory(cluster.directory) as directory:
        layouts = DirectoryLayouts(directory, CLUSTER, lambda address: connect_as_client(folder, address))
        async with ClusterClient(layouts, security=shown_by(folder, "client")) as client:
            yield client


async def push(client: ClusterClient, pushed: dict[bytes, bytes], count: int) -> int:
    """``count`` more; the version of the last."""
    numbers = range(len(pushed), len(pushed) + count)
    pushed |= {b"key %d" % number: b"value %d" % number for number in numbers}
    return max(await asyncio.gather(*(client.push([Set(b"key %d" % number, b"value %d" % number)]) for number in numbers)))


async def seen_from_afar(cluster: RealCluster, node: RealNode, folder: Path) -> list[WorkerInfo]:
    """Its workers, as another machine is told of them."""
    address = (await cluster.view()).nodes[node.id].address
    assert address.startswith("https://")
    async with connect_as_client(folder, address) as foreman:
        return await foreman.infos()


async def test_a_cluster_lives_on_a_network_and_survives_a_lost_machine(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, tls=True) as cluster, client_of(cluster, tmp_path) as client:
        await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "2", "--split", "key 5", "--replace-after", "1")
        first = await cluster.serving(members=2)
        pushed: dict[bytes, bytes] = {}
        version = await push(client, pushed, 100)
        assert await client.get_many(list(pushed), version=version) == list(pushed.values())
        addresses = [node.address for node in (await cluster.view()).nodes.values()]
        async with Foreman.connect_cluster(*addresses, security=shown_by(tmp_path, "client")) as through_nodes:
            assert await through_nodes.get_many(list(pushed), version=version) == list(pushed.values())

        told = [info for node in cluster.nodes.values() for info in await seen_from_afar(cluster, node, tmp_path)]
        assert len(told) == 3 + 4
        assert all(info.endpoint is not None and info.endpoint.startswith("127.0.0.1:") for info in told)
        assert {info.local_endpoint for info in told} == {None}, "a path on another machine leads nowhere"
        assert [info.params for info in told if info.kind == "log"] == [{}] * 3, "where a node's workers listen is no param of theirs"

        lost = cluster.node(first.logs[0].node)
        await lost.pull_the_plug()
        version = await push(client, pushed, 100)
        second = await client.layout(after=first.epoch)
        assert second.epoch > first.epoch
        assert await client.get_many(list(pushed), version=version) == list(pushed.values())
        whole = await cluster.serving(above=first.epoch, members=2)
        version = await push(client, pushed, 10)
        for team in whole.teams:
            keys = KeyRange(team.begin, team.end)
            for member in team.members:
                await holds(cluster, member.node, member.id, tmp_path, {k: v for k, v in pushed.items() if keys.contains(k)}, version)


async def holds(cluster: RealCluster, node: str, id: str, folder: Path, expected: dict[bytes, bytes], version: int) -> None:
    """Read from that one worker, over TCP."""
    async with (
        connect_as_client(folder, (await cluster.view()).nodes[node].address) as foreman,
        StorageClient.connect((foreman, id), timeout=20.0, security=shown_by(folder, "client")) as storage,
    ):
        assert await storage.get_many(list(expected), version=version) == list(expected.values())


async def test_workers_let_nobody_in_without_a_certificate_and_their_own_user_without_one_and_keep_their_port(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, ("a",), tls=True) as cluster:
        node = cluster.nodes["a"]
        async with RemoteForeman.connect(node.data) as foreman:
            await foreman.new_worker("log_1", "log")
            await foreman.new_worker("storage_1", "storage", {"logs": ["log_1"]})
            async with LogClient.connect((foreman, "log_1")) as log, StorageClient.connect((foreman, "storage_1")) as storage:
                await log.push(1, 0, [Set(b"k", b"v")])
                assert await storage.get(b"k", version=1) == b"v"
            before = await foreman.info("log_1")
            await foreman.restart_worker("log_1")
            infos = {info.id: info for info in await foreman.infos()}
            assert infos["log_1"].incarnation != before.incarnation
            assert infos["log_1"].endpoint == before.endpoint
        for info in infos.values():
            endpoint = info.endpoint
            assert endpoint is not None
            assert info.local_endpoint == f"unix:{Path(node.data, 'run').resolve()}/{info.id}/resp.sock"
            with pytest.raises(Unreachable):
                await LogClient.connect(endpoint, timeout=1.0).info()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await ask_over_tls_without_a_certificate(endpoint, shown_by(tmp_path, "a")["tls"]["client_ca"])
            security = shown_by(tmp_path, "client")
            with pytest.raises(Unreachable, match="Authentication required"):
                await LogClient.connect(endpoint, security={"tls": security["tls"]}).info()
            async with LogClient.connect(endpoint, security=security) as client:
                assert (await client.info("id"))["id"] == info.id


async def test_where_workers_listen_changes_with_a_reload_and_a_start_and_stands_in_no_manifest(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, ("a",), tls=True) as cluster, RemoteForeman.connect(cluster.nodes["a"].data) as foreman:
        node = cluster.nodes["a"]
        for id in ("log_1", "log_2"):
            await foreman.new_worker(id, "log")
        manifest = (node.data / "workers" / "log_1" / "manifest.json").read_text()
        before = node.config.read_text()
        log_file = node.config.with_name("a.log")
        node.config.write_text(f"{node.config.read_text()}[data_plane.tls]\ncert = 'x'\nkey = 'x'\nclient_ca = 'x'\n")
        node.signal(signal.SIGHUP)
        refusal = "the configuration is not valid; nothing was changed"
        await wait_until_async(
            lambda: refusal in log_file.read_text(), timeout_s=HEALED_WITHIN_S, what="files that are not there are refused"
        )
        node.config.write_text(before.replace('[data_plane]\nlisten = "127.0.0.1"', '[data_plane]\nlisten = "127.0.0.2"'))
        node.signal(signal.SIGHUP)

        async def listens_elsewhere() -> bool:
            await foreman.restart_worker("log_1")
            return str((await foreman.info("log_1")).endpoint).startswith("127.0.0.2:")

        await wait_until_async(listens_elsewhere, timeout_s=HEALED_WITHIN_S, what="a start after the reload listens elsewhere")
        assert str((await foreman.info("log_2")).endpoint).startswith("127.0.0.1:"), "who runs keeps what it has"
        assert (node.data / "workers" / "log_1" / "manifest.json").read_text() == manifest
        assert "127.0.0" not in manifest


async def ask_over_tls_without_a_certificate(endpoint: str, authority: str) -> None:
    """Raises once the worker hangs up: with TLS 1.3 that is after the handshake."""
    host, _, port = endpoint.rpartition(":")
    async with asyncio.timeout(HEALED_WITHIN_S):
        reader, writer = await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context(cafile=authority))
        try:
            writer.write(b"PING\r\n")
            assert await reader.read() == b"", "it answered"
            raise ConnectionResetError
        finally:
            writer.transport.abort()
