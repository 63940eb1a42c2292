"""Logs and replicas on protected TCP: the worker shows its certificate and its password, and gets nothing without them."""

import asyncio
import gc
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio as redis

from foreman.core.endpoints import read_endpoints
from foreman.core.mutations import Set
from foreman.workers.clients import LogClient, StorageClient
from foreman.workers.clients.replica import Unreachable
from foreman.workers.storage.params import check_params
from tests.workers.storage.asking import wait_for
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="NOT TESTED: openssl is not installed")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _authority(folder: Path, name: str) -> None:
    _openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip


def _signed(folder: Path, name: str, authority: str, host: str = "IP:127.0.0.1") -> None:
    _openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
             "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
    (folder / "san").write_text(f"subjectAltName={host}")
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-days", "1",
             "-extfile", "san", "-out", f"{name}.pem")  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for authority in ("ours", "foreign"):
        _authority(folder, authority)
    for name, authority in (("node", "ours"), ("stranger", "foreign")):
        _signed(folder, name, authority)
    _signed(folder, "elsewhere", "ours", "IP:127.0.0.2")
    (folder / "password").write_text("open sesame\n")
    (folder / "wrong").write_text("open barley\n")
    return folder


def shown(keys: Path, name: str = "node", password: str = "password") -> dict[str, object]:
    tls = {"certificate": f"{keys}/{name}.pem", "key": f"{keys}/{name}.key", "client_ca": f"{keys}/ours.pem"}
    return {"tls": tls, "auth_file": f"{keys}/{password}"}


def reached_at(worker: WorkerProcess) -> str:
    """From other machines."""
    endpoint, _ = read_endpoints(worker.wait_until_said("X_FOREMAN_ENDPOINT", "127.0.0.1:"))
    assert endpoint is not None
    return endpoint


async def test_logs_and_replicas_are_reached_with_certificate_and_password(keys: Path, start_worker: Start, connect: Connect) -> None:
    log = start_worker({"listen": "127.0.0.1:0", "segment_bytes": 1 << 16, "quiet_s": 0, **shown(keys)}, id="log_1")
    log_endpoint = reached_at(log)
    first = start_worker({"logs": [log_endpoint], "listen": "127.0.0.1:0", "window_s": 0, **shown(keys)})
    replica = reached_at(first)
    async with LogClient.connect(log_endpoint, security=shown(keys)) as pusher:
        for version in range(1, 11):
            await pusher.push(version, version - 1, [Set(b"%d" % version, b"x" * 30_000)])
        async with asyncio.timeout(15):
            while (await pusher.info("oldest_version"))["oldest_version"] == 0:
                version += 1
                await pusher.push(version, version - 1, [Set(b"%d" % version, b"x" * 30_000)])
        second = start_worker({"logs": [log_endpoint], "replicas": [replica], "link": shown(keys)}, id="storage_2", begin=True)
        await asyncio.to_thread(second.wait_until_said, "READY", "1")
        await pusher.push(version + 1, version, [Set(b"last", b"v")])
    await wait_for(connect(second), version + 1)
    assert await connect(second).get("1") == b"x" * 30_000
    async with StorageClient.connect(replica, security=shown(keys)) as storage:
        assert await storage.get(b"last", version=version + 1) == b"v"


async def test_a_client_that_is_closed_in_the_midst_of_its_calls_leaves_no_connection(keys: Path, start_worker: Start) -> None:
    """Some of them shake hands at that moment. What is left open is a ResourceWarning, and so a failure."""
    log = start_worker({"listen": "127.0.0.1:0", **shown(keys)}, id="log_1")
    for turns in range(0, 60, 10):
        client = LogClient.connect(reached_at(log), timeout=0.2, security=shown(keys))
        calls = [asyncio.create_task(client.info("id")) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await client.close()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, dict | Unreachable) for outcome in outcomes), outcomes
    gc.collect()


@pytest.mark.parametrize(
    ("link", "told"), [("nothing", "LinkLost"), ("stranger", "SSL|LinkLost"), ("wrong password", "invalid username-password pair")]
)
async def test_without_them_the_log_gives_nothing(keys: Path, start_worker: Start, link: str, told: str) -> None:
    log = start_worker({"listen": "127.0.0.1:0", **shown(keys)}, id="log_1")
    endpoint = reached_at(log)
    links = {"nothing": {}, "stranger": shown(keys, "stranger"), "wrong password": shown(keys, password="wrong")}
    worker = start_worker({"logs": [endpoint], "link": links[link]})
    async with StorageClient.connect(worker.endpoint) as storage, asyncio.timeout(15):
        while not (failures := (await storage.info("failures"))["failures"]):
            await asyncio.sleep(0.01)
        assert re.search(told, failures[endpoint]), failures
        assert await storage.info("latest_version") == {"latest_version": 0}


@pytest.mark.parametrize(("worker", "authority"), [("elsewhere", "ours"), ("stranger", "foreign")])
async def test_a_worker_that_is_not_who_it_should_be_gets_nothing(keys: Path, start_worker: Start, worker: str, authority: str) -> None:
    """Another host's certificate, another authority's: neither a client nor a storage worker that follows it says a word to it."""
    tls = {"certificate": f"{keys}/{worker}.pem", "key": f"{keys}/{worker}.key", "client_ca": f"{keys}/{authority}.pem"}
    log = start_worker({"listen": "127.0.0.1:0", "tls": tls}, id="log_1")
    endpoint = reached_at(log)
    ours = {"tls": {**tls, "client_ca": f"{keys}/ours.pem"}}
    with pytest.raises(Unreachable, match="certificate verify failed"):
        await LogClient.connect(endpoint, timeout=0.5, security=ours).info()
    follower = start_worker({"logs": [endpoint], "link": ours})
    async with StorageClient.connect(follower.endpoint) as storage, asyncio.timeout(15):
        while not (failures := (await storage.info("failures"))["failures"]):
            await asyncio.sleep(0.01)
    assert "certificate verify failed" in failures[endpoint]


async def test_certificates_that_cannot_be_read_are_told(keys: Path) -> None:
    for security in ({"auth_file": f"{keys}/nowhere"}, {"tls": dict.fromkeys(("certificate", "key", "client_ca"), f"{keys}/nowhere")}):
        with pytest.raises(Unreachable, match=r"nothing can be shown to it: .*nowhere"):
            await LogClient.connect("127.0.0.1:1", timeout=0.1, security=security).info()


@pytest.mark.parametrize("link", [1, {"tls": {}}, {"auth_file": "relative"}, {"other": 1}, {"tls": {"certificate": "/a", "key": "/b"}}])
def test_a_link_that_is_none_is_refused(link: object) -> None:
    assert check_params({"link": link})
