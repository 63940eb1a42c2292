"""StorageClient, redis-cli and redis-benchmark against real worker processes; and what is no command at all."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.core.data_errors import NewerLockExists, NotLocked, TooLarge, VersionTooNew, VersionTooOld
from foreman.core.errors import InvalidRequest
from foreman.core.mutations import Set
from foreman.workers.clients.replica import Unreachable
from foreman.workers.clients.storage_client import StorageClient, StorageLocked
from foreman.workers.storage.selectors import first_greater_or_equal, first_greater_than, last_less_or_equal, last_less_than
from tests.workers.storage.asking import until_durable
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.test_commands import NAMES, WORDS
from tests.workers.storage.worker_process import WorkerProcess
from tests.workers.wire.framed import command

Start = Callable[..., WorkerProcess]
LOGS = {"logs": ["log_1"], "version_wait_s": 10}


async def test_everything_a_storage_client_does(log: FakeLog, start_worker: Start) -> None:
    worker = start_worker({**LOGS, "window_s": 3600})
    log.push(1, [Set(b"a", b"1"), Set(b"b", b"1"), Set(b"c", b"1"), Set(b"AT", b"at"), Set(b"5", b"five")])
    log.push(3, [Set(b"b", b"3"), Set(b"d", b"3")])
    async with StorageClient.connect(worker.endpoint) as storage:
        assert await storage.get(b"b", version=3) == b"3"
        assert await storage.get(b"b", version=1) == b"1"
        assert await storage.get(b"nothing") is None
        assert await storage.get_many([b"a", b"nothing", b"d"]) == [b"1", None, b"3"]
        assert await storage.get_many([b"a", b"AT", b"5"]) == [b"1", b"at", b"five"]
        assert await storage.get_many([b"d", b"AT", b"5"], version=1) == [None, b"at", b"five"]
        assert await storage.get_many([]) == []
        assert await storage.get_range(b"a", b"c") == ([(b"a", b"1"), (b"b", b"3")], False)
        assert await storage.get_range(b"a", b"z", version=1, limit=2) == ([(b"a", b"1"), (b"b", b"1")], True)
        assert await storage.get_range(b"a", limit=1, reverse=True) == ([(b"d", b"3")], True)
        assert await storage.get_range(b"b", b"") == ([], False)
        assert await storage.get_range(first_greater_than(b"a"), last_less_or_equal(b"z")) == ([(b"b", b"3"), (b"c", b"1")], False)
        assert await storage.get_key(first_greater_or_equal(b"b", 1)) == b"c"
        assert await storage.get_key(last_less_than(b"5")) is None
        info = await storage.info()
        assert (info["id"], info["latest_version"], info["key_ranges"], info["logs"]) == ("storage_1", 3, [["", None]], ["log_1"])
        assert await storage.info("locked", "generation") == {"locked": 0, "generation": None}
        with pytest.raises(TooLarge):
            await storage.get(b"k" * 10_001)
        with pytest.raises(NotLocked):
            await storage.unlock(1, {"logs": []})
        assert await storage.lock(2, "r") == StorageLocked("storage", 0, 0)
        with pytest.raises(NewerLockExists) as newer:
            await storage.lock(1, "q")
        assert newer.value == NewerLockExists(2, "r")
        await storage.unlock(1, {"logs": []})
        assert await storage.get(b"b") == b"1"


async def test_version_errors_are_classes_with_their_numbers(log: FakeLog, start_worker: Start) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0, "version_wait_s": 0.02})
    log.push(10, [Set(b"a", b"1")])
    async with StorageClient.connect(worker.endpoint) as storage:
        async with redis.Redis(unix_socket_path=worker.endpoint.removeprefix("unix:")) as plain:
            await until_durable(plain, 10)
        with pytest.raises(VersionTooOld) as old:
            await storage.get(b"a", version=9)
        with pytest.raises(VersionTooNew) as new:
            await storage.get(b"a", version=11)
    assert (old.value.oldest, new.value.newest) == (10, 10)


async def test_reads_go_on_when_a_replica_hangs_dies_or_lags(log: FakeLog, start_worker: Start) -> None:
    one, two = start_worker(LOGS, id="storage_1"), start_worker(LOGS, id="storage_2")
    log.push(1, [Set(b"a", b"1")])
    async with StorageClient.connect([one.endpoint, two.endpoint]) as storage:
        assert await storage.get(b"a", version=1) == b"1"
        assert one.process is not None
        assert two.process is not None
        for hung in (one, two):
            assert hung.process is not None
            os.kill(hung.process.pid, 19)
            started = time.monotonic()
            assert [await storage.get(b"a") for _ in range(10)] == [b"1"] * 10
            assert time.monotonic() - started < 2.0
            os.kill(hung.process.pid, 18)
        one.kill()
        assert [await storage.get(b"a") for _ in range(10)] == [b"1"] * 10
        with pytest.raises(InvalidRequest):
            await storage.lock(1, "r")
        two.kill()
        with pytest.raises(Unreachable):
            await StorageClient.connect(two.endpoint, timeout=0.2).get(b"a")
        waiting = asyncio.create_task(storage.get(b"a", version=1))
        await asyncio.to_thread(two.start)
        assert await waiting == b"1"


@dataclass
class Info:
    endpoint: str | None
    local_endpoint: str | None = None


class FakeForeman:
    """Knows endpoints by id, as a Foreman does."""

    def __init__(self, **endpoints: str) -> None:
        self.endpoints, self.asked = endpoints, 0

    async def info(self, id: str) -> Info:
        self.asked += 1
        return Info(self.endpoints[id])


async def test_a_worker_is_found_through_the_foreman_and_again_after_it_moved(log: FakeLog, start_worker: Start) -> None:
    one, two = start_worker(LOGS, id="storage_1"), start_worker(LOGS, id="storage_2")
    log.push(1, [Set(b"a", b"1")])
    foreman = FakeForeman(storage_1=one.endpoint)
    async with StorageClient.connect((foreman, "storage_1")) as storage:  # type: ignore[arg-type]
        assert await storage.get(b"a", version=1) == b"1"
        assert await storage.get(b"a", version=1) == b"1"
        assert foreman.asked == 1
        foreman.endpoints["storage_1"] = two.endpoint
        one.kill()
        assert await storage.get(b"a", version=1) == b"1"


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="NOT TESTED: redis-cli is not installed (Debian package redis-tools)")
async def test_redis_cli_and_redis_benchmark_feel_at_home(log: FakeLog, start_worker: Start) -> None:
    worker = start_worker(LOGS)
    log.push(1, [Set(b"key:%012d" % number, b"v%d" % number) for number in range(100)])
    socket_path = worker.endpoint.removeprefix("unix:")

    async def run(*words: str) -> str:
        made = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=30, check=True)
        return made.stdout

    assert await run("redis-cli", "-s", socket_path, "GET", "key:000000000007", "AT", "1") == "v7\n"
    assert "kind:storage" in await run("redis-cli", "-s", socket_path, "INFO")
    assert "VERSIONTOOOLD" not in await run("redis-cli", "-s", socket_path, "RANGE", "key:", "key;", "LIMIT", "2")
    assert "ERR unknown command" in await run("redis-cli", "-s", socket_path, "SET", "a", "b")
    load = ("-c", "8", "-n", "2000", "-P", "4", "-r", "100", "--csv", "GET", "key:__rand_int__")
    report = await run("redis-benchmark", "-s", socket_path, *load)
    assert "GET key:__rand_int__" in report


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A worker with no log, kept for a whole run of generated commands."""
    home = Path(f"/tmp/fs-{os.getpid()}-{random.randrange(1 << 30)}")
    worker = WorkerProcess(home, {"version_wait_s": 0.01}).start()
    yield worker
    worker.kill()
    shutil.rmtree(home)


@given(st.lists(st.tuples(NAMES, WORDS), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_arguments_whatever_crash_it(lonely: WorkerProcess, commands: list[tuple[bytes, list[bytes]]]) -> None:
    frames = [
        command(name, *words) for name, words in [*commands, (b"PING", [b"alive"])] if not any(word.upper() == b"WAIT" for word in words)
    ]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(lonely.endpoint.removeprefix("unix:"))
        client.sendall(b"".join(frames))
        answer = b""
        while not answer.endswith(b"$5\r\nalive\r\n"):
            received = client.recv(1 << 16)
            assert received, "it hung up"
            answer += received


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_whatever_crash_it(lonely: WorkerProcess, junk: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(lonely.endpoint.removeprefix("unix:"))
        client.sendall(junk)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(lonely.endpoint.removeprefix("unix:"))
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
