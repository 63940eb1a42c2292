"""Homes, logs, real workers and plain clients for these tests."""

import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from foreman.core.mutations import Set
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.fake_replica import FakeReplica
from tests.workers.storage.refilling_cluster import Cluster
from tests.workers.storage.worker_process import WorkerProcess


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="fs", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
async def log(home: Path) -> AsyncIterator[FakeLog]:
    async with FakeLog(home) as log:
        yield log


@pytest.fixture
async def cluster(home: Path, log: FakeLog) -> AsyncIterator[Cluster]:
    """A hundred keys at version 1, which the log has recycled."""
    async with FakeReplica(home) as replica:
        cluster = Cluster(log, replica, random.randrange(1 << 30))
        cluster.push([Set(b"%03d" % number, b"v%d" % number) for number in range(100)])
        cluster.recycle()
        yield cluster


@pytest.fixture
def start_worker(home: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a real worker process, ready unless ``begin`` is said; all are gone when the test ends."""
    workers: list[WorkerProcess] = []

    def start(params: dict[str, Any] | None = None, *, begin: bool = False, **options: Any) -> WorkerProcess:
        worker = WorkerProcess(home, params or {}, **options)
        workers.append(worker)
        return worker.begin() if begin else worker.start()

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[WorkerProcess], "redis.Redis"]]:
    """A plain redis-py client of a worker."""
    clients: list[redis.Redis] = []

    def to(worker: WorkerProcess) -> "redis.Redis":
        client = redis.Redis(unix_socket_path=worker.endpoint.removeprefix("unix:"))
        clients.append(client)
        return client

    yield to
    for client in clients:
        await client.aclose()
