"""What is promised to callers, compared with the world: at each answer, and when everything has come to rest."""

from typing import TYPE_CHECKING

from foreman.core import effects as do
from foreman.core import events as on
from foreman.core.errors import BatchFailed, ForemanError
from foreman.core.ids import BatchId, WorkerId
from foreman.core.lifecycle import State
from foreman.testing.simulator.asking import Asked
from foreman.testing.simulator.world import Violation

if TYPE_CHECKING:
    from foreman.testing.simulator.driver import Simulation


def at_reply(sim: "Simulation", asked: Asked, outcome: do.Outcome) -> None:
    """What the answer says is true at the moment it is given."""
    match asked.command, outcome:
        case on.NewWorkers(items=items), tuple():
            for id, kind, params in items:
                there = sim.world.workers.get(id)
                if not _is_being_removed(sim, asked, id) and (there is None or (there.kind, dict(there.params)) != (kind, dict(params))):
                    raise Violation(f"{id} was said to be created, and on disk is {there}")
        case on.NewWorkers(atomic=True), BatchFailed(failures=failures) if not failures:
            raise Violation("a batch failed and names nobody")
        case on.RemoveWorkers(ids=ids), dict():
            _removed(sim, asked, ids, outcome)
        case _:
            pass


def _is_being_removed(sim: "Simulation", since: Asked, id: WorkerId) -> bool:
    """Somebody else asked for its removal meanwhile: then both answers are true, each at its own moment."""
    others = [*sim.asked.values(), *(asked for asked, _ in sim.outcomes if asked.at >= since.at)]
    return any(isinstance(other.command, on.RemoveWorkers) and id in other.command.ids for other in others)


def _removed(sim: "Simulation", asked: Asked, ids: tuple[WorkerId, ...], results: dict[str, ForemanError | None]) -> None:
    if set(results) != set(ids):
        raise Violation(f"removal of {ids} answers for {sorted(results)}")
    for id in ids:
        there = sim.world.workers.get(id)
        if results[id] is None and there is not None and there.created_at <= asked.at + 1_700_000_000 and id in asked.stood:
            raise Violation(f"{id} was said to be removed, and its directory stands")


def at_rest(sim: "Simulation") -> None:
    """Nothing is left half done, nobody waits for ever, and what is shown is what is there."""
    world, machine = sim.world, sim.machine
    if sim.asked:
        raise Violation(f"never answered: {[asked.command for asked in sim.asked.values()]}")
    stays = {batch for batch, record in world.journal.items() if not world.is_excused(record)}
    if stays:
        raise Violation(f"left in the journal: {stays}")
    shown = {info.id: info for info in machine.infos()}
    if shown.keys() != world.workers.keys():
        raise Violation(f"the machine knows {sorted(shown)}, on disk are {sorted(world.workers)}")
    for id, info in shown.items():
        alive = id in world.processes
        if alive != (info.state == State.RUNNING.value):
            raise Violation(f"{id} is {info.state}, and its process {'lives' if alive else 'does not live'}")
        if info.state not in (State.RUNNING, State.STOPPED, State.FINISHED, State.FAILED):
            raise Violation(f"{id} came to rest in {info.state}: {machine.story(WorkerId(id))}")
    if world.processes.keys() - world.workers.keys():
        raise Violation("a process runs without a directory")
    advertised = {service.id for service in machine.services()}
    if world.services != advertised:
        raise Violation(f"the directory says {sorted(world.services)}, the machine {sorted(advertised)}")
    for batch, made in world.made.items():
        _whole_or_not_at_all(sim, batch, made)


def _whole_or_not_at_all(sim: "Simulation", batch: BatchId, made: tuple[WorkerId, ...]) -> None:
    present = {id for id in made if id in sim.world.workers and sim.world.workers[id].batch == batch}
    removals = (asked.command for asked, _ in sim.outcomes if isinstance(asked.command, on.RemoveWorkers))
    removed = {id for command in removals for id in command.ids}
    if present and batch not in sim.world.journal and not set(made) - present <= removed:
        raise Violation(f"batch {batch} of {made} is half there: {sorted(present)}")
