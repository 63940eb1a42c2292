"""SIGKILL of the supervisor, or of the workers, at every step of create, batch create, remove and batch remove.

The steps: before every event and effect of the server, before and after every step of the supervisor itself, and in the child between its
fork and its word. The server lives, so each request is finished as if nothing had been, or answered with a typed error; afterwards each
worker exists whole or not at all, nothing runs twice, and nothing is left in staging, trash or journal.

One node lives through all of it, one death after the other, so it also shows that nothing piles up.
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

import pytest

from foreman.bootstrap.assembly import Node
from foreman.core.effects import Effect
from foreman.core.errors import BatchFailed, FailedToStart
from foreman.core.events import Event
from foreman.core.kinds import KindSpec, PythonProgram
from foreman.core.views import WorkerRef
from foreman.node.run_directory import run_directory_of
from tests.deadline import wait_until, wait_until_async
from tests.processes import supervisor_steps
from tests.processes.kinds import KINDS
from tests.processes.looking import counts, held_locks, leftovers, worker_processes
from tests.processes.node_process import BATCH, plan
from tests.processes.supervisor_steps import CHILD, ENDING, STARTING, set_fate
from tests.processes.test_killed_server import SCENARIOS

STEPS_KIND: Final = KindSpec("steps", PythonProgram(f"{supervisor_steps.__name__}:nothing"), preload=(supervisor_steps.__name__,))
KEEP: Final = "keep"
DEADLINE_S: Final = 60.0

pytestmark = pytest.mark.timeout(600)  # dozens of deaths in each test: seconds, or minutes on a machine that is busy with other things
_STARTED: Final = ("WorkerStarted", "WorkerSaid", "WorkerReady", "CancelTimer", "Measured", "Advertise")
WITH_A_PROCESS: Final = {
    "create": (*_STARTED, "Reply"),
    "batch_create": (*_STARTED, "ClearJournal", "JournalCleared", "Reply"),
    "remove": ("RemoveWorkers", "SetTimer", "WriteJournal", "JournalWritten", "Withdraw", "Withdrawn", "PublishChange", "SignalWorker"),
}
"""Where the workers have a process that can be killed."""


class Blow:
    """Struck once, before the first event or effect of this name after it was prepared."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._strike: Callable[[], None] = lambda: None

    def prepare(self, name: str | None, strike: Callable[[], None]) -> None:
        self._name, self._strike = name, strike

    @property
    def struck(self) -> bool:
        return not self._name

    def __call__(self, boundary: Event | Effect) -> None:
        if type(boundary).__name__ == self._name:
            self._name = None
            self._strike()


class Scene:
    """A node that lives through everything, and the workers it is asked for."""

    def __init__(self, node: Node, data: Path, blow: Blow) -> None:
        self._foreman, self.data, self.blow, self._node = node.foreman, data, blow, node
        self._dead: int | None = None

    async def doom(self) -> int:
        """The supervisor's pid; from here on :meth:`settled` waits for another one."""
        self._dead = pid = (await self._foreman.node()).supervisor_pid
        assert pid is not None
        return pid

    async def doom_before(self, boundary: str | None) -> None:
        """None: nothing happens."""
        if boundary is not None:
            pid = await self.doom()
            self.blow.prepare(boundary, lambda: os.kill(pid, signal.SIGKILL))

    def kill_workers(self, ids: Sequence[str]) -> None:
        """Returns when they are dead, so that :meth:`settled` cannot take one for alive. Others may be on their way meanwhile."""
        killed = {pid for id, pids in worker_processes(self.data).items() if id in ids for pid in pids}
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: killed.isdisjoint(pid for pids in worker_processes(self.data).values() for pid in pids),
            timeout_s=DEADLINE_S,
            what="dead",
        )

    async def create(self, ids: Sequence[str]) -> Exception | None:
        """None: they are there, as the answer says."""
        try:
            made = (
                [await self._foreman.new_worker(ids[0], "good")]
                if len(ids) == 1
                else await self._foreman.new_workers([(id, "good") for id in ids])
            )
        except (FailedToStart, BatchFailed) as error:
            return error
        assert made == [WorkerRef(id, "good", f"test_{id}") for id in ids]
        return None

    async def remove(self, ids: Sequence[str]) -> None:
        assert await self._foreman.remove_workers(ids) == dict.fromkeys(ids)

    async def settled(self, where: str) -> set[str]:
        """The workers there are when all is calm, each whole, running once, and nothing left over."""

        async def quiet() -> bool:
            if (await self._foreman.node()).supervisor_pid in {None, self._dead}:
                return False
            infos = await self._foreman.infos()
            running = {info.id: [info.pid] for info in infos}
            return not leftovers(self.data) and all(info.health.is_ok for info in infos) and worker_processes(self.data) == running

        await wait_until_async(quiet, timeout_s=DEADLINE_S, what=f"everything healthy, once, and nothing left over: {where}")
        there = {ref.id for ref in await self._foreman.all()}
        assert {path.name for path in (self.data / "workers").iterdir()} == there, where
        assert held_locks(self.data) == there, where
        assert counts(self.data)[KEEP] == 1, where
        assert not self._node.broken, where
        return there - {KEEP}


@pytest.fixture
async def scene(data: Path) -> AsyncIterator[Scene]:
    blow = Blow()
    made = plan(data, blow, orphan_grace_s=0.0)
    node = await Node.start(replace(made, kinds=(*KINDS, STEPS_KIND)))
    try:
        await node.foreman.new_worker(KEEP, "good")
        yield Scene(node, data, blow)
    finally:
        await node.stop()


def ids_of(scenario: str) -> tuple[str, ...]:
    return BATCH if scenario.startswith("batch") else ("one",)


@pytest.mark.parametrize("scenario", ["create", "batch_create"])
async def test_a_creation_or_removal_outlives_the_supervisor_at_every_step_of_the_server(scenario: str, scene: Scene) -> None:
    ids = ids_of(scenario)
    for creating, removing in zip_longest(SCENARIOS[scenario], SCENARIOS[scenario.replace("create", "remove")]):
        await scene.doom_before(creating)
        assert await scene.create(ids) is None, creating
        assert scene.blow.struck, creating
        assert await scene.settled(f"create, {creating}") == set(ids)
        await scene.doom_before(removing)
        await scene.remove(ids)
        assert scene.blow.struck, removing
        assert await scene.settled(f"remove, {removing}") == set()


async def supervisor_dies(
    scene: Scene,
    steps: Sequence[str],
    nth: int,
    act: Callable[[], Awaitable[object]],
    undo: Callable[[], Awaitable[object]],
    there: set[str],
) -> None:
    """``act`` once for each fate; ``there`` is what must be left of the workers."""
    for step in steps:
        for when in ("before", "after"):
            await scene.doom()
            fate = set_fate(run_directory_of(scene.data), step, when, 1 if step == "acknowledge" else nth)  # one may stand for many
            assert not await act(), f"{when} {step}"
            await wait_until_async(lambda: not fate.exists(), timeout_s=DEADLINE_S, what=f"dead {when} {step}")  # noqa: B023
            assert await scene.settled(f"{when} {step}") == there
            await undo()


@pytest.mark.parametrize("scenario", ["create", "batch_create", "remove", "batch_remove"])
async def test_a_request_outlives_the_supervisor_at_every_step_of_its_own(scenario: str, scene: Scene) -> None:
    ids = ids_of(scenario)
    nth = 2 if len(ids) > 1 else 1
    if scenario.endswith("create"):
        await supervisor_dies(scene, STARTING, nth, lambda: scene.create(ids), lambda: scene.remove(ids), set(ids))
    else:
        await scene.create(ids)
        await supervisor_dies(scene, ENDING, nth, lambda: scene.remove(ids), lambda: scene.create(ids), set())


@pytest.mark.parametrize("scenario", ["create", "batch_create"])
async def test_workers_killed_at_every_step_are_there_whole_or_not_at_all(scenario: str, scene: Scene) -> None:
    ids = ids_of(scenario)
    for creating, removing in zip_longest(WITH_A_PROCESS[scenario], WITH_A_PROCESS["remove"]):
        scene.blow.prepare(creating, lambda: scene.kill_workers(ids))
        failed = await scene.create(ids)
        assert scene.blow.struck, creating
        there = await scene.settled(f"create, {creating}")
        assert there == (set() if isinstance(failed, BatchFailed) else set(ids)), creating
        if not there:
            assert await scene.create(ids) is None
        scene.blow.prepare(removing, lambda: scene.kill_workers(ids))
        await scene.remove(ids)
        assert scene.blow.struck, removing
        assert await scene.settled(f"remove, {removing}") == set()


@pytest.mark.parametrize("scenario", ["create", "batch_create"])
async def test_a_child_killed_before_it_can_speak_is_a_failed_start(scenario: str, scene: Scene) -> None:
    ids = ids_of(scenario)
    for step in CHILD:
        fate = set_fate(run_directory_of(scene.data), step, "before", 1)
        failed = await scene.create(ids)
        assert isinstance(failed, BatchFailed if len(ids) > 1 else FailedToStart), step
        assert "SIGKILL" in str(failed)
        assert not fate.exists()
        assert await scene.settled(step) == (set() if len(ids) > 1 else set(ids)), step
        if len(ids) == 1:
            await scene.remove(ids)
