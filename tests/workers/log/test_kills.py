"""SIGKILL at random moments under load: what was acknowledged is there, in order, and nothing is half there.

20 rounds; ``make soak`` for 200 (ROUNDS=… for more, FOREMAN_KILL_SEED=… for others).
"""

import asyncio
import os
import random

import pytest

from foreman.core.mutations import Set
from foreman.workers.clients import LogClient
from foreman.workers.clients.replica import Unreachable
from tests.workers.log.conftest import NewWorker
from tests.workers.log.worker_process import WorkerProcess

ROUNDS = int(os.environ.get("FOREMAN_KILL_ROUNDS", "20"))
DICE = random.Random(int(os.environ.get("FOREMAN_KILL_SEED", "1")))


def value(version: int) -> bytes:
    return b"%d." % version * (1 + version % 400)


@pytest.mark.timeout(60 + 3 * ROUNDS)
async def test_every_acknowledged_transaction_survives_kills_under_load(new_worker: NewWorker) -> None:
    worker = new_worker({"segment_bytes": 262144})
    acknowledged = 0
    for _ in range(ROUNDS):
        worker.start()
        acknowledged = await check_and_load(worker, acknowledged)
        worker.kill()
    worker.start()
    await check(worker, acknowledged)


async def check(worker: WorkerProcess, acknowledged: int) -> int:
    """The last version, which is no less than what was acknowledged; everything before it is there and whole."""
    async with LogClient.connect(worker.endpoint) as log:
        last = 0
        while found := await log.pull(last, limit=2000):
            assert found == [(version, [Set(b"k", value(version))]) for version in range(last + 1, last + 1 + len(found))]
            last = found[-1][0]
        assert last >= acknowledged
        return last


async def check_and_load(worker: WorkerProcess, acknowledged: int) -> int:
    """Push from many tasks until the worker is killed in the middle; what was acknowledged by then."""
    last = await check(worker, acknowledged)
    done: set[int] = set()
    versions = iter(range(last + 1, last + 100_000))
    kill = asyncio.get_running_loop().call_later(DICE.uniform(0.0, 0.3), worker.process.kill if worker.process else lambda: None)

    async def push_on(log: LogClient) -> None:
        for version in versions:
            await log.push(version, version - 1, [Set(b"k", value(version))])
            done.add(version)

    async with LogClient.connect(worker.endpoint, timeout=0.01) as log:
        outcomes = await asyncio.gather(*(push_on(log) for _ in range(16)), return_exceptions=True)
    kill.cancel()
    assert all(isinstance(outcome, Unreachable) for outcome in outcomes), outcomes
    return max(done, default=last)
