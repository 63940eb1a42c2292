"""What peers got wrong, as docs/lessons.md lists it, where no other test holds it already."""

import asyncio
import json
import os
import re
import signal
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from foreman import Foreman
from foreman.core.errors import ForemanTimeout, WorkerNotFound
from foreman.core.health import Health
from foreman.core.interface import ForemanInterface
from foreman.core.moment import Moment
from foreman.testing.simulator import Simulation
from tests.deadline import wait_until_async
from tests.golden.stories import STORIES, Script, tell
from tests.lessons.kinds import KINDS, SLOW_START_S


async def test_hung_starts_delay_nobody(data: Path) -> None:
    """More of them than may start at once. What they hold up is given up after some seconds; here nobody else waits for that at all."""
    async with Foreman.open(data, kinds=KINDS, settings={"supervision.start_parallelism": 4, "supervision.stop_grace": 1}) as foreman:
        hung = [asyncio.create_task(foreman.new_worker(f"hung_{number}", "hung", timeout=0.2)) for number in range(3)]
        await foreman.new_worker("good_1", "good", timeout=10)
        assert isinstance((await asyncio.gather(*hung, return_exceptions=True))[0], ForemanTimeout)
        os.kill((await foreman.info("good_1")).pid or 0, signal.SIGKILL)
        await wait_until_async(lambda: _restarted(foreman, "good_1"), what="a restart beside hung starts")
        assert (await foreman.health()).status == "starting"


@pytest.mark.slow
async def test_hung_starts_give_up_their_slots(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS, settings={"supervision.start_parallelism": 2}) as foreman:
        for number in range(2):
            with pytest.raises(ForemanTimeout):
                await foreman.new_worker(f"hung_{number}", "hung", timeout=0.1)
        await foreman.new_worker("good_1", "good", timeout=20)


async def _restarted(foreman: ForemanInterface, id: str) -> bool:
    info = await foreman.info(id)
    return info.restarts == 1 and info.health.is_ok


async def test_a_slow_start_that_says_so_is_no_failure(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS) as foreman:
        began = asyncio.get_running_loop().time()
        await foreman.new_worker("slow_1", "slow", timeout=20)
        assert asyncio.get_running_loop().time() - began >= SLOW_START_S * 0.9
        assert (await foreman.info("slow_1")).restarts == 0


async def test_a_late_report_for_a_removed_worker_harms_nobody(data: Path) -> None:
    async with Foreman.open(data, kinds=KINDS) as foreman:
        await foreman.new_worker("good_1", "good")
        await foreman.remove_worker("good_1")
        for report in (Health.ok(), Health.error("too late")):
            with pytest.raises(WorkerNotFound):
                await foreman.report_health("good_1", report)
        await foreman.new_worker("good_1", "good")
        assert (await foreman.health()).is_ok


async def test_a_worker_that_is_going_or_dead_is_no_service(data: Path) -> None:
    """From the first word of its stop on, and for as long as it does not run."""
    async with Foreman.open(data, kinds=KINDS) as foreman:
        await foreman.new_worker("good_1", "good")
        async with asyncio.timeout(20):
            events = foreman.events()
            following = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            stopping = asyncio.create_task(foreman.stop_worker("good_1"))
            await following
            assert await foreman.get_all_running_services() == []
            await stopping
        assert await foreman.get_all_running_services() == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_clock_that_jumps_changes_no_decision(story: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock is stamped on what people read, and nothing else."""
    calm = tell(story)
    moment, jumps = Simulation.moment, count()

    def lurching(sim: Simulation) -> Moment:
        jump = next(jumps)
        return replace(moment(sim), wall=1e9 + (-1) ** jump * 1e6 * jump)

    monkeypatch.setattr(Simulation, "moment", lurching)
    assert _without_wall_time(tell(story)) == _without_wall_time(calm)
    assert next(jumps) > 0, "the clock was never asked"


def _without_wall_time(text: str) -> str:
    return re.sub(r"(created_at|wall|at)=-?[\d.e+]+", r"\1=…", text)


_STARVED = """
import asyncio, json, resource, sys
from pathlib import Path
from foreman import Foreman
from tests.lessons.kinds import KINDS

async def main() -> None:
    async with Foreman.open(Path(sys.argv[1]), kinds=KINDS, serve=False) as foreman:
        await foreman.new_workers([(f"w_{number}", "many_files") for number in range(60)])
        print(json.dumps([info.status_text for info in await foreman.infos()]))

resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
asyncio.run(main())
"""


async def test_a_low_limit_of_open_files_limits_nobody(data: Path) -> None:
    """Node and supervisor raise their own; workers get the limit as it was, and no descriptor of anybody else."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _STARVED, str(data), stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(40):
        said, _ = await process.communicate()
    assert process.returncode == 0
    assert set(json.loads(said)) == {"limit 100, open 4"}  # 0, 1, 2 and the lock
