"""A log and a replica that agree, for tests in which a worker is filled from the one and follows the other."""

import asyncio
import random

from foreman.core.mutations import ClearRange, Mutation, Set
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.fake_replica import FakeReplica
from tests.workers.storage.test_window import applied
from tests.workers.storage.worker_process import WorkerProcess

REPLICA = {"logs": ["log_1"], "replicas": ["storage_9"], "window_s": 0}


class Cluster:
    """A log and what its transactions come to; ``recycle`` forgets all transactions so far, as the replica has them."""

    def __init__(self, log: FakeLog, replica: FakeReplica, seed: int) -> None:
        self.log, self.replica, self.choice = log, replica, random.Random(seed)

    def push(self, mutations: list[Mutation]) -> None:
        self.replica.version += 1
        self.replica.pairs = applied(self.replica.pairs, mutations)
        self.log.push(self.replica.version, mutations)

    def push_some(self) -> None:
        key = self.choice.choice([*self.replica.pairs, b"new%d" % self.choice.randrange(100)])
        begin = self.choice.randrange(100)
        clear = ClearRange(b"%03d" % begin, b"%03d" % (begin + 3))
        self.push([Set(key, b"%d" % self.replica.version)] if self.choice.random() < 0.7 else [clear])

    def recycle(self) -> None:
        self.log.oldest = self.replica.version


async def ready(worker: WorkerProcess) -> None:
    await asyncio.to_thread(worker.wait_until_said, "READY", "1")
