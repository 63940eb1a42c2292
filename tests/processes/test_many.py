"""Hundreds of workers on one node: made in batches, listed, many killed at once, all removed; and what that takes of server and supervisor.

The design's figure is a thousand: ``FOREMAN_MANY=1000 pytest tests/processes/test_many.py`` (half a minute). The usual run makes fewer.
"""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.deadline import wait_until_async
from tests.processes.conftest import StartNode
from tests.processes.looking import counts, held_locks, leftovers, starts

MANY: Final = int(os.environ.get("FOREMAN_MANY", "300"))
BATCH: Final = 100
KILLED: Final = 100
TIMEOUT_S: Final = 300.0
MOST_MORE_DESCRIPTORS: Final = 8
"""Of the server, however many workers there are; the directory's database and a thread's wake-up come late."""
OF_EACH_WORKER: Final = 2
"""Of the supervisor: the lock, and the end of a pipe."""
MOST_THREADS: Final = 24


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@pytest.mark.timeout(600)
async def test_hundreds_of_workers_live_fall_come_back_and_go(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    ids = [f"w{number}" for number in range(MANY)]
    supervisor = (await foreman.node()).supervisor_pid
    assert supervisor is not None
    server_before, supervisor_before = descriptors(os.getpid()), descriptors(supervisor)

    for first in range(0, MANY, BATCH):
        made = await foreman.new_workers([(id, "good") for id in ids[first : first + BATCH]], timeout=TIMEOUT_S)
        assert [ref.id for ref in made] == ids[first : first + BATCH]
    await foreman.wait_for_healthy(timeout=TIMEOUT_S)
    infos = {info.id: info for info in await foreman.infos()}
    assert sorted(infos) == sorted(ids)
    assert all(info.health.is_ok for info in infos.values())
    assert {service.id for service in await foreman.get_all_running_services()} == set(ids)
    assert counts(data) == dict.fromkeys(ids, 1)
    assert held_locks(data) == set(ids)
    assert descriptors(os.getpid()) <= server_before + MOST_MORE_DESCRIPTORS
    assert descriptors(supervisor) == supervisor_before + OF_EACH_WORKER * MANY
    assert threads(os.getpid()) <= MOST_THREADS
    assert threads(supervisor) == 1

    killed = set(ids[:KILLED])
    for id in killed:
        pid = infos[id].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        now = await foreman.infos()
        return all(info.health.is_ok and info.restarts == (1 if info.id in killed else 0) for info in now)

    await wait_until_async(back, timeout_s=TIMEOUT_S, what="all back")
    assert counts(data) == dict.fromkeys(ids, 1)
    assert all(len(starts(data, id)) == (2 if id in killed else 1) for id in ids)

    assert await foreman.remove_workers(ids, timeout=TIMEOUT_S) == dict.fromkeys(ids)
    assert await foreman.all() == []
    assert await foreman.get_all_running_services() == []
    assert counts(data) == {}
    assert leftovers(data) == []
    assert list((data / "workers").iterdir()) == []
    assert descriptors(os.getpid()) <= server_before + MOST_MORE_DESCRIPTORS
    assert descriptors(supervisor) == supervisor_before
