"""What simulated people ask for: a seeded plan of commands and misfortunes over the first minute."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foreman.core import events as on
from foreman.core.health import Health
from foreman.core.ids import RequestId, WorkerId
from foreman.testing.simulator import acting

if TYPE_CHECKING:
    from foreman.testing.simulator.driver import Simulation

TROUBLE_ENDS_S = 60.0
KIND_OF = {"a": "log", "b": "log", "c": "storage", "d": "storage", "e": "job"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and what stood on disk when it was made (id → created_at)."""

    command: on.Command
    at: float
    stood: dict[WorkerId, float]


def plan(sim: "Simulation", commands: int) -> None:
    """Spread the commands, and the misfortunes, over the time of trouble."""
    for number in range(1, commands + 1):
        sim.later("somebody asks", _asker(sim, number), sim.chance.uniform(0.2, TROUBLE_ENDS_S * 0.8), of_server=False)
    for _ in range(sim.chance.randrange(3)):
        if sim.roll(sim.faults.supervisor_crash * 50):
            sim.later("misfortune", lambda: acting.kill_supervisor(sim), sim.chance.uniform(1, 50), of_server=False)
    if sim.roll(sim.faults.directory_away * 3):
        start = sim.chance.uniform(0, 40)
        sim.later("the directory goes away", lambda: _away(sim, away=True), start, of_server=False)
        sim.later("the directory is back", lambda: _away(sim, away=False), start + sim.chance.uniform(1, 15), of_server=False)


def _away(sim: "Simulation", *, away: bool) -> None:
    sim.world.directory_away = away
    acting.flush(sim)


def _asker(sim: "Simulation", number: int) -> Callable[[], None]:
    return lambda: ask(sim, _command(sim, RequestId(sim.life * 1000 + number)))


def ask(sim: "Simulation", command: on.Command) -> None:
    """Give a command to the server that lives now; nobody hears it when none does."""
    if sim.is_down:
        return
    match command:
        case on.RequestAbandoned():
            pass
        case on.ShutdownRequested(request=None):
            pass
        case _:
            assert command.request is not None
            sim.asked[command.request] = Asked(command, sim.now, {id: m.created_at for id, m in sim.world.workers.items()})
    sim.handle(command)


def _command(sim: "Simulation", request: RequestId) -> on.Command:
    chance, at, timeout = sim.chance, sim.moment(), sim.chance.choice((0.5, 5.0, 30.0))
    ids = [WorkerId(name) for name in chance.sample(sorted(KIND_OF), chance.randint(1, 4))]
    match chance.choice(("new", "new", "batch", "batch", "remove", "remove", "start", "stop", "restart", "wait", "report", "kill", "down")):
        case "new":
            return on.NewWorkers(at, request, ((ids[0], KIND_OF[ids[0]], {"n": chance.choice((1, 1, 1, 2))}),), timeout, atomic=False)
        case "batch":
            return on.NewWorkers(at, request, tuple((id, KIND_OF[id], {"n": 1}) for id in ids), timeout, atomic=True)
        case "remove":
            return on.RemoveWorkers(at, request, tuple(ids), timeout)
        case "start":
            return on.StartWorkerRequested(at, request, ids[0], timeout)
        case "stop":
            return on.StopWorkerRequested(at, request, ids[0], timeout)
        case "restart":
            return on.RestartWorkerRequested(at, request, ids[0], timeout)
        case "report":
            return on.ReportHealth(at, request, ids[0], chance.choice((Health.ok(), Health.error("reported"))))
        case "down":
            return on.ShutdownRequested(at, request, keep_workers=chance.random() < 0.3)
        case "kill":
            _kill_one(sim)
            return on.WaitForHealthy(at, request, timeout)
        case _:
            return on.WaitForHealthy(at, request, timeout)


def _kill_one(sim: "Simulation") -> None:
    if sim.world.processes:
        victim = sim.chance.choice(sorted(sim.world.processes.values(), key=lambda process: process.id))
        acting.end(sim, victim, None)
