"""What was observed on the running original, done to ours: docs/lessons.md, second table."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from foreman import Foreman, LogClient, Set
from foreman.core.errors import FailedToStart, ForemanTimeout, WorkerNotFound, WorkersUnhealthy
from foreman.core.health import Health
from foreman.core.interface import ForemanInterface
from tests.deadline import wait_until_async
from tests.lessons.kinds import KINDS
from tests.processes.kinds import KINDS as BAD
from tests.processes.looking import held_locks, worker_processes

PUSHERS, PUSHES = 32, 3000
CRASHING = next(kind for kind in BAD if kind.name == "crashing")


async def _killed(foreman: ForemanInterface, id: str) -> None:
    before = await foreman.info(id)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)

    async def back() -> bool:
        info = await foreman.info(id)
        return info.health.is_ok and info.incarnation != before.incarnation

    await wait_until_async(back, what=f"{id} back")


async def test_a_worker_that_crashed_and_came_back_is_removed_with_its_process(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS) as foreman:
        await foreman.new_worker("log_1", "log")
        await _killed(foreman, "log_1")
        await foreman.remove_worker("log_1")
        assert worker_processes(data) == {}
        assert list((data / "workers").iterdir()) == []


async def test_a_report_for_an_unknown_worker_is_an_error_and_nothing_else(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS) as foreman:
        with pytest.raises(WorkerNotFound):
            await foreman.report_health("nobody", Health.ok())
        assert (await foreman.health()).is_ok


async def test_waiting_ends_with_none_with_logs_only_and_with_a_failed_worker(data: Path) -> None:
    async with Foreman.open(data, kinds=[*KINDS, CRASHING], settings={"supervision.max_restarts": 1}) as foreman:
        await foreman.wait_for_healthy(timeout=0.5)
        await foreman.new_worker("log_1", "log")
        await foreman.wait_for_healthy(timeout=0.5)
        with pytest.raises(FailedToStart):
            await foreman.new_worker("bad_1", "crashing")
        began = time.monotonic()
        with pytest.raises(WorkersUnhealthy) as unhealthy:
            await foreman.wait_for_healthy()  # the default is finite, and it need not be waited for
        assert time.monotonic() - began < 10
        assert set(unhealthy.value.workers) == {"bad_1"}


async def test_waiting_for_a_worker_that_hangs_ends_at_the_deadline_and_names_it(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS, settings={"supervision.stop_grace": 1}) as foreman:
        with pytest.raises(ForemanTimeout):
            await foreman.new_worker("hung_1", "hung", timeout=0.1)
        with pytest.raises(ForemanTimeout) as late:
            await foreman.wait_for_healthy(timeout=0.2)
        assert set(late.value.workers) == {"hung_1"}


@pytest.mark.timeout(120)
async def test_a_node_with_a_hundred_logs_starts(data: Path) -> None:
    ids = [f"log_{number:03d}" for number in range(100)]
    async with Foreman.open(data) as foreman:
        await foreman.new_workers([(id, "log") for id in ids], timeout=60)
    assert held_locks(data) == set()
    async with Foreman.open(data) as foreman:
        await foreman.wait_for_healthy(timeout=60)
        assert [service.id for service in await foreman.get_all_running_services()] == ids
        assert {id: len(pids) for id, pids in worker_processes(data).items()} == dict.fromkeys(ids, 1)


@pytest.mark.timeout(120)
async def test_every_acknowledged_push_of_many_at_once_reaches_its_consumer(data: Path) -> None:
    """32 clients push into one chain of versions, out of order as they come; a consumer follows."""
    async with Foreman.open(data) as foreman:
        await foreman.new_worker("log_1", "log")
        async with LogClient.connect((foreman, "log_1"), timeout=30) as log, LogClient.connect((foreman, "log_1"), timeout=30) as reader:
            versions = iter(range(1, PUSHES + 1))

            async def push() -> None:
                for version in versions:
                    await log.push(version, version - 1, [Set(b"key", b"%d" % version)])

            pushing = asyncio.gather(*(push() for _ in range(PUSHERS)))
            seen: list[int] = []
            async with asyncio.timeout(60):
                while len(seen) < PUSHES:
                    for version, mutations in await reader.pull(seen[-1] if seen else 0, block=1.0):
                        assert mutations == [Set(b"key", b"%d" % version)]
                        seen.append(version)
                await pushing
            assert seen == list(range(1, PUSHES + 1))
