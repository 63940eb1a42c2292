"""Daemons nobody here wrote, as kinds from configuration: redis-server and etcd, which say themselves when they are ready."""

import os
import shutil
import signal
import socket
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from foreman import Foreman
from foreman.core.errors import WorkerNotFound
from foreman.core.interface import ForemanInterface
from foreman.node.run_directory import run_directory_of
from tests.faults.conftest import Up, pid_of, until
from tests.processes.looking import held_locks, leftovers

pytestmark = [
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server"),
    pytest.mark.skipif(shutil.which("etcd") is None, reason="needs etcd"),
]

KINDS = """
[node]
cluster = "test"

[kinds.redis]
command = ["redis-server", "--unixsocket", "{run}/redis.sock", "--port", "0", "--dir", "{data}", "--supervised", "systemd"]
after   = ["log"]            # started after, stopped before, workers of these kinds
ready   = "notify"
restart = "transient"
stop    = { signal = "TERM", grace = 1 }
limits  = { nofile = 4096, memory = "1GiB" }
watchdog = 1                 # redis never says WATCHDOG=1, so it promised nothing

[kinds.etcd]
command = [
    "etcd", "--name", "{id}", "--data-dir", "{data}/etcd",
    "--listen-client-urls", "http://127.0.0.1:{params.client}", "--advertise-client-urls", "http://127.0.0.1:{params.client}",
    "--listen-peer-urls", "http://127.0.0.1:{params.peer}", "--initial-advertise-peer-urls", "http://127.0.0.1:{params.peer}",
    "--initial-cluster", "{id}=http://127.0.0.1:{params.peer}",
]
ready = "notify"
after = ["redis"]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def daemons(node: Up) -> dict[str, list[int]]:
    """Worker id → processes that work in its directory. Redis writes its title over its environment, so that tells nothing of it."""
    found: dict[str, list[int]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            cwd = Path(process.cwd())
            if cwd.is_relative_to(node.data / "workers") and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(cwd.relative_to(node.data / "workers").parts[0], []).append(process.pid)
    return found


def redis_of(node: Up, id: str) -> Redis:
    return Redis(unix_socket_path=str(run_directory_of(node.data) / id / "redis.sock"), decode_responses=True)


async def start(node: Up) -> None:
    node.config.write_text(KINDS)
    await node.up()


async def both(foreman: ForemanInterface) -> None:
    await foreman.new_worker("redis_1", "redis")
    await foreman.new_worker("etcd_1", "etcd", params={"client": free_port(), "peer": free_port()})


async def test_they_run_are_registered_are_killed_and_come_back_with_their_data(node: Up) -> None:
    await start(node)
    async with Foreman.connect(node.data) as foreman:
        await both(foreman)
        assert await foreman.get_all_running_services() == [("etcd_1", "etcd", "test_etcd_1"), ("redis_1", "redis", "test_redis_1")]
        assert (await foreman.info("redis_1")).status_text == "Ready to accept connections"
        async with redis_of(node, "redis_1") as redis:
            await redis.set("key", "value")
            await redis.save()
        for id in ("redis_1", "etcd_1"):
            before = await pid_of(foreman, id)
            os.kill(before, signal.SIGKILL)
            await until(foreman, id, lambda info, before=before: info.health.is_ok and info.pid not in (None, before))
        async with redis_of(node, "redis_1") as redis:
            assert await redis.get("key") == "value"
        assert {id: len(pids) for id, pids in daemons(node).items()} == {"redis_1": 1, "etcd_1": 1}


async def test_a_server_that_was_killed_is_followed_by_one_that_adopts_them(node: Up) -> None:
    await start(node)
    async with Foreman.connect(node.data) as foreman:
        await both(foreman)
    before = daemons(node)
    node.processes[-1].kill()
    await node.processes[-1].wait()
    await node.up()
    async with Foreman.connect(node.data) as foreman:
        await foreman.wait_for_healthy()
        assert {info.id: [info.pid] for info in await foreman.infos()} == before == daemons(node)
        assert all(info.restarts == 0 for info in await foreman.infos())


async def test_the_whole_node_restarts_and_nothing_is_lost(node: Up) -> None:
    await start(node)
    async with Foreman.connect(node.data) as foreman:
        await both(foreman)
        async with redis_of(node, "redis_1") as redis:
            await redis.set("key", "value")
    assert (await node.cli("down")).code == 0
    assert daemons(node) == {}
    await node.up()
    async with Foreman.connect(node.data) as foreman:
        await foreman.wait_for_healthy()
        async with redis_of(node, "redis_1") as redis:
            assert await redis.get("key") == "value", "TERM lets redis save"
        etcd = await foreman.why("etcd_1")
        assert next(line.when for line in etcd if line.event == "WorkerStarted") > next(
            line.when for line in await foreman.why("redis_1") if line.event == "WorkerReady"
        ), "etcd starts after redis"


async def test_a_daemon_without_a_watchdog_hangs_unnoticed_and_is_killed_when_it_is_removed(node: Up, stopped: list[int]) -> None:
    """Documented: who never says WATCHDOG=1 cannot be seen hanging. It does not keep anybody from removing or restarting it."""
    await start(node)
    async with Foreman.connect(node.data) as foreman:
        await both(foreman)
        pid = await pid_of(foreman, "redis_1")
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)
        await foreman.restart_worker("redis_1", timeout=10)
        assert await pid_of(foreman, "redis_1") != pid
        assert "SIGKILL" in (await foreman.info("redis_1")).last_exit.status  # type: ignore[union-attr]
        stopped.append(await pid_of(foreman, "redis_1"))
        os.kill(stopped[-1], signal.SIGSTOP)
        assert await foreman.remove_workers(["redis_1", "etcd_1"], timeout=10) == {"redis_1": None, "etcd_1": None}
        with pytest.raises(WorkerNotFound):
            await foreman.info("redis_1")
    assert daemons(node) == {}
    assert held_locks(node.data) == set()
    assert leftovers(node.data) == []
    assert list((node.data / "workers").iterdir()) == []
    assert not (run_directory_of(node.data) / "redis_1").exists()
