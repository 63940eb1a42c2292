"""Two storage workers fed by two real logs, while all four are killed now and then: they end byte for byte the same."""

import asyncio
import random
from collections.abc import Callable

import redis.asyncio as redis

from foreman.workers.clients import LogClient, LogSet, StorageClient
from tests.workers.storage.asking import everything, until_durable, wait_for
from tests.workers.storage.test_disk import random_mutation
from tests.workers.storage.test_window import applied
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


async def test_two_storage_workers_fed_by_two_logs_end_byte_identical(start_worker: Start, connect: Connect) -> None:
    seed = random.randrange(1 << 30)
    choice = random.Random(seed)
    logs = [start_worker({}, id=f"log_{number}") for number in (1, 2)]
    storages = [
        start_worker({"logs": order, "window_s": 0.1}, id=f"storage_{number}")
        for number, order in enumerate((["log_1", "log_2"], ["log_2", "log_1"]), 1)
    ]
    model: dict[bytes, bytes] = {}
    version = 0
    async with LogSet.connect([log.endpoint for log in logs]) as both:
        for round_number in range(8):
            for _ in range(60):
                mutations = [random_mutation(choice) for _ in range(choice.randrange(1, 6))]
                model = applied(model, mutations)
                await both.push(version + 3, version, mutations, epoch=0)
                version += 3
            victim = [*logs, *storages][round_number % 4]
            victim.kill()
            await asyncio.to_thread(victim.start)
    pictures = []
    for storage in storages:
        client = connect(storage)
        await wait_for(client, version)
        pictures.append(await everything(client, version))
        await until_durable(client, version)
        assert await everything(client) == pictures[-1]
    assert pictures[0] == pictures[1] == model, f"seed {seed}"


async def test_a_director_moves_a_storage_worker_to_a_recovered_log(start_worker: Start) -> None:
    """Lock all, copy the old log into a new one, unlock the storage worker onto it; what only memory held and the log lost is gone."""
    old, new = start_worker({}, id="log_1"), start_worker({}, id="log_2")
    worker = start_worker({"logs": ["log_1"], "window_s": 3600, "version_wait_s": 10})
    async with (
        LogClient.connect(old.endpoint) as old_log,
        LogClient.connect(new.endpoint) as new_log,
        StorageClient.connect(worker.endpoint, timeout=15) as storage,
    ):
        for version in (1, 2, 3):
            await old_log.push_encoded(version, version - 1, b"\x91\x93\x00\xc4\x01k\xc4\x01" + b"%d" % version)
        assert await storage.get(b"k", version=3) == b"3"
        for locked in (old_log, new_log, storage):
            await locked.lock(2, "r")
        await new_log.recover_from(old.endpoint, 0, 2)
        await storage.unlock(2, {"logs": {"log_2": new.endpoint}})
        assert await storage.get(b"k") == b"2"
        await new_log.push_encoded(7, 2, b"\x91\x93\x00\xc4\x01k\xc4\x017", epoch=2)
        assert await storage.get(b"k", version=7) == b"7"
