"""The server dies at every single boundary between two effects of the four stories that must be whole or not at all."""

from collections.abc import Callable

import pytest

from foreman.core import events as on
from foreman.core.ids import RequestId, WorkerId
from foreman.testing.simulator import CALM, Simulation, Violation
from foreman.testing.simulator.asking import ask

THREE = (("a", "log"), ("b", "log"), ("c", "storage"))


def create(sim: Simulation, request: int) -> on.Command:
    return on.NewWorkers(sim.moment(), RequestId(request), ((WorkerId("a"), "log", {}),), 20.0, atomic=False)


def create_batch(sim: Simulation, request: int) -> on.Command:
    no_params: dict[str, int] = {}
    items = tuple((WorkerId(id), kind, no_params) for id, kind in THREE)
    return on.NewWorkers(sim.moment(), RequestId(request), items, 20.0, atomic=True)


def remove(sim: Simulation, request: int) -> on.Command:
    return on.RemoveWorkers(sim.moment(), RequestId(request), (WorkerId("a"),), 20.0)


def remove_batch(sim: Simulation, request: int) -> on.Command:
    return on.RemoveWorkers(sim.moment(), RequestId(request), tuple(WorkerId(id) for id, _ in THREE), 20.0)


Story = tuple[Callable[[Simulation, int], on.Command], ...]
STORIES: dict[str, Story] = {
    "create": (create,),
    "batch create": (create_batch,),
    "remove": (create, remove),
    "batch remove": (create_batch, remove_batch),
}


def tell(story: Story, seed: int, crash_at: int | None) -> Simulation:
    sim = Simulation(seed, CALM, commands=0, crash_at=crash_at)
    for number, command_of in enumerate(story):
        sim.later("somebody asks", lambda n=number, c=command_of: ask(sim, c(sim, 5000 + n)), 1.0 + 5 * number, of_server=False)  # type: ignore[misc]
    try:
        sim.run()
    except Violation as violation:
        raise Violation(f"killed at effect {crash_at}: {violation}\n" + "\n".join(sim.transcript)) from violation
    return sim


@pytest.mark.parametrize("name", STORIES)
def test_killed_at_every_boundary_nothing_is_half_done(name: str) -> None:
    """Whole or not at all; nothing twice; nothing left in staging, trash or journal: the promises at rest."""
    for seed in (1, 2):
        boundaries = tell(STORIES[name], seed, None).boundary
        assert boundaries > 10
        for crash_at in range(1, boundaries + 1):
            sim = tell(STORIES[name], seed, crash_at)
            assert any("the server is killed" in line for line in sim.transcript)


@pytest.mark.parametrize("name", ["remove", "batch remove"])
def test_a_removal_accepted_survives_the_server(name: str) -> None:
    """From the moment its record is durable, a removal is finished by whichever server comes next."""
    sim = tell(STORIES[name], 1, None)
    accepted = next(i for i, line in enumerate(sim.transcript) if "JournalWritten {'batch': 'remove" in line)
    at = sum(1 for line in sim.transcript[: accepted + 1] if "] effect " in line)
    for crash_at in range(at + 1, sim.boundary + 1):
        assert not tell(STORIES[name], 1, crash_at).world.workers


def test_a_batch_not_answered_is_undone_by_the_next_server() -> None:
    sim = tell(STORIES["batch create"], 1, None)
    committed = next(i for i, line in enumerate(sim.transcript) if "effect ClearJournal" in line)
    at = sum(1 for line in sim.transcript[:committed] if "] effect " in line)
    for crash_at in range(2, at):
        assert not tell(STORIES["batch create"], 1, crash_at).world.workers
