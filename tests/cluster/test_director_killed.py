"""The director's server is killed on entering and on leaving each phase of a recovery: another goes on, nothing is lost, nothing is left.

    EVERY_PHASE=1 pytest tests/cluster/test_director_killed.py

does it in every phase; by default in those after which most is half done.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from foreman.control.recovery.table import PHASES
from foreman.core.errors import ForemanError
from tests.cluster.mortal import DEATHS
from tests.cluster.nodes import RealCluster, real_cluster
from tests.cluster.pushing import pushing
from tests.cluster.steps import configure, only_named_workers_run
from tests.deadline import wait_until_async

pytestmark = pytest.mark.timeout(400)

FIRST_TIME: Final = "initialising"
CHOSEN: Final = ("recruiting logs", "unlocking", "publishing")
AFTERWARDS: Final = tuple(phase for phase in PHASES if phase != FIRST_TIME) if "EVERY_PHASE" in os.environ else CHOSEN
WITHIN_S: Final = 60.0


async def test_the_director_is_killed_in_each_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    monkeypatch.setenv(DEATHS, str(deaths))
    async with real_cluster(tmp_path, program=("-m", "tests.cluster.mortal"), lease_s=1.0) as cluster, started_again(cluster) as killed:
        decree(deaths, FIRST_TIME)
        await configure(cluster.nodes["a"], "--logs", "2", "--storage-replicas", "2", "--replace-after", "600")
        await all_died(deaths)
        layout = await cluster.serving(members=2)
        async with pushing(cluster) as client:
            for phase in AFTERWARDS:
                await client.go_on(5)
                decree(deaths, phase)
                await lose(cluster)
                await all_died(deaths)
                layout = await cluster.serving(above=layout.epoch)
        await cluster.serving(members=2)
        await wait_until_async(lambda: nothing_else_runs(cluster), timeout_s=WITHIN_S, what="no stray is left")
        assert len(killed) >= 2 * (1 + len(AFTERWARDS))


async def nothing_else_runs(cluster: RealCluster) -> bool:
    try:
        return await only_named_workers_run(cluster)
    except ForemanError:  # a server is being started again
        return False


def decree(deaths: Path, phase: str) -> None:
    for point in (f"enter {phase}", f"leave {phase}"):
        (deaths / point).touch()


async def all_died(deaths: Path) -> None:
    await wait_until_async(lambda: not os.listdir(deaths), timeout_s=WITHIN_S, what=f"both deaths of {os.listdir(deaths)}")


async def lose(cluster: RealCluster) -> None:
    """KILL a log of the layout of now: reason enough for a recovery."""
    await wait_until_async(lambda: killed_a_log(cluster), timeout_s=WITHIN_S, what="a log is killed")


async def killed_a_log(cluster: RealCluster) -> bool:
    layout = (await cluster.view()).layout
    assert layout is not None
    try:
        pid = (await cluster.info(layout.logs[0])).pid
    except ForemanError:  # its server is being started again, or another layout has come
        return False
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    return pid is not None


@asynccontextmanager
async def started_again(cluster: RealCluster) -> AsyncIterator[list[str]]:
    """While the block runs, every server that was killed, as systemd would do. Yields the names of those that were."""
    killed: list[str] = []

    async def start_the_dead() -> None:
        for node in cluster.nodes.values():
            if node.process is not None and node.process.poll() is not None:
                killed.append(node.name)
                with suppress(AssertionError):  # it was killed once more before it answered
                    await node.up()

    async def look_after() -> None:
        while True:
            await start_the_dead()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(look_after())
    try:
        yield killed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await start_the_dead()  # so that their workers end with them
