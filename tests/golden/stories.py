"""The ten main stories, told by the real machine in the calm simulated world. Written with ``python -m tests.golden.stories``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from foreman.core import events as on
from foreman.core.ids import RequestId, WorkerId
from foreman.testing.simulator import CALM, Simulation, acting
from foreman.testing.simulator.asking import ask

HERE: Final = Path(__file__).parent
A, B, C = WorkerId("a"), WorkerId("b"), WorkerId("c")
Script = Callable[["Stage"], None]


class Stage:
    """A calm world in which things happen when the script says."""

    def __init__(self) -> None:
        self.sim = Simulation(seed=1, faults=CALM, commands=0)
        self._requests = 0

    def at(self, second: float, act: Callable[[], None], what: str = "script") -> None:
        self.sim.later(what, act, second, of_server=False)

    def ask(self, second: float, command_of: Callable[[on.Moment, RequestId], on.Command]) -> None:
        self._requests += 1
        request = RequestId(self._requests)
        self.at(second, lambda: ask(self.sim, command_of(self.sim.moment(), request)), "somebody asks")

    def new(self, second: float, *ids: WorkerId, atomic: bool = False) -> None:
        no_params: dict[str, int] = {}
        items = tuple((id, "storage" if id == C else "log", no_params) for id in ids)
        self.ask(second, lambda at, request: on.NewWorkers(at, request, items, 20.0, atomic))

    def remove(self, second: float, *ids: WorkerId) -> None:
        self.ask(second, lambda at, request: on.RemoveWorkers(at, request, ids, 20.0))

    def crash(self, second: float, id: WorkerId, code: int | None) -> None:
        self.at(second, lambda: acting.end(self.sim, self.sim.world.processes[id], code), f"{id} crashes")

    def faulty(self, start: float, end: float, **faults: float) -> None:
        def set_to(value: float) -> None:
            self.sim.faults = replace(CALM, **dict.fromkeys(faults, value))

        self.at(start, lambda: set_to(1.0), f"from now on: {', '.join(faults)}")
        self.at(end, lambda: set_to(0.0), "and no more")


def create(stage: Stage) -> None:
    stage.new(1, A)


def create_again(stage: Stage) -> None:
    stage.new(1, A)
    stage.new(3, A)
    stage.ask(4, lambda at, request: on.NewWorkers(at, request, ((A, "storage", {}),), 20.0, atomic=False))


def batch_in_order(stage: Stage) -> None:
    stage.new(1, C, A, B, atomic=True)


def batch_undone(stage: Stage) -> None:
    stage.faulty(1.3, 1.6, start_refused=1)
    stage.new(1, A, atomic=False)
    stage.new(1.31, B, C, atomic=True)


def crash_and_back(stage: Stage) -> None:
    stage.new(1, A)
    stage.crash(6, A, None)


def given_up(stage: Stage) -> None:
    stage.faulty(0.5, 40, exit_before_ready=1)
    stage.new(1, A)
    stage.ask(2, lambda at, request: on.WaitForHealthy(at, request, 30.0))


def hung(stage: Stage) -> None:
    stage.new(1, A)
    stage.at(5, lambda: acting.news(stage.sim, "a silent", lambda: _silent(stage)), "a hangs")


def _silent(stage: Stage) -> on.Event:
    return on.WorkerSilent(stage.sim.moment(), A, stage.sim.world.processes[A].incarnation)


def batch_removed(stage: Stage) -> None:
    stage.new(1, A, B, C, atomic=True)
    stage.remove(5, A, C, WorkerId("nobody"))


def directory_stuck(stage: Stage) -> None:
    stage.new(1, A)
    stage.faulty(4.06, 4.2, disk_error=1)
    stage.remove(4, A)


def server_killed(stage: Stage) -> None:
    stage.new(1, A, B, atomic=True)
    stage.at(5, stage.sim.crash, "misfortune")


def supervisor_killed(stage: Stage) -> None:
    stage.new(1, A, B, atomic=True)
    stage.at(5, lambda: acting.kill_supervisor(stage.sim), "misfortune")


def shut_down(stage: Stage) -> None:
    stage.new(1, A, B, C, atomic=True)
    stage.ask(5, on.ShutdownRequested)


STORIES: Final[tuple[Script, ...]] = (
    create,
    create_again,
    batch_in_order,
    batch_undone,
    crash_and_back,
    given_up,
    hung,
    batch_removed,
    directory_stuck,
    server_killed,
    supervisor_killed,
    shut_down,
)


def tell(script: Script) -> str:
    """The transcript: events in, effects out."""
    stage = Stage()
    script(stage)
    while stage.sim.step():
        pass
    lines = [line for line in stage.sim.transcript if "] timer " not in line and "] news " not in line]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for story in STORIES:
        (HERE / f"{story.__name__}.txt").write_text(tell(story))
