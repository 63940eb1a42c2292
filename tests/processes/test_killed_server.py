"""SIGKILL of the server before every event and every effect of create, batch create, remove and batch remove.

Afterwards another server takes over: each worker exists whole or not at all, what was not asked about runs on with the same pid, nothing
runs twice, and nothing is left in staging, trash or journal.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from foreman.bootstrap.assembly import Node
from tests.deadline import wait_until_async
from tests.processes.conftest import NodeProcess, StartNode
from tests.processes.looking import counts, held_locks, leftovers, starts
from tests.processes.node_process import BATCH

RunProcess = Callable[..., Awaitable[NodeProcess]]

CREATE: Final = (
    "NewWorkers", "SetTimer", "PrepareDirectories", "PublishChange", "PublishHealth", "DirectoryPrepared", "StartWorker", "WorkerStarted",
    "WorkerSaid", "WorkerReady", "CancelTimer", "Measured", "Advertise", "Reply",
)  # fmt: skip
BATCH_CREATE: Final = (*CREATE, "WriteJournal", "JournalWritten", "ClearJournal", "JournalCleared")
REMOVE: Final = (
    "RemoveWorkers", "SetTimer", "WriteJournal", "JournalWritten", "Withdraw", "Withdrawn", "PublishChange", "SignalWorker", "WorkerExited",
    "CancelTimer", "MoveToTrash", "Trashed", "PublishRemoval", "DeleteTrash", "TrashDeleted", "ClearJournal", "JournalCleared", "Reply",
)  # fmt: skip
SCENARIOS: Final = {"create": CREATE, "batch_create": BATCH_CREATE, "remove": REMOVE, "batch_remove": REMOVE}
CASES: Final = [(scenario, boundary) for scenario, boundaries in SCENARIOS.items() for boundary in boundaries]

ACCEPTED_FROM: Final = "JournalWritten"
"""From here on a removal survives the server."""


async def settled(node: Node, data: Path) -> set[str]:
    """The workers there are when nothing is left to be done."""

    async def quiet() -> bool:
        infos = await node.foreman.infos()
        return not leftovers(data) and all(info.health.is_ok for info in infos)

    await wait_until_async(quiet, timeout_s=20, what="everything healthy and nothing left over")
    return {ref.id for ref in await node.foreman.all()}


@pytest.mark.parametrize(("scenario", "boundary"), CASES)
async def test_a_killed_server_leaves_nothing_half_done(
    scenario: str, boundary: str, data: Path, start_node: StartNode, run_process: RunProcess
) -> None:
    process = await run_process(scenario, boundary)
    assert not process.done, f"{scenario} never comes to {boundary}"
    node = await start_node()
    there = await settled(node, data)
    assert "keep" in there
    assert (await node.foreman.info("keep")).pid == process.keep, "a bystander was restarted"
    assert len(starts(data, "keep")) == 1
    asked = there - {"keep"}
    match scenario:
        case "create":
            assert asked <= {"one"}
        case "batch_create":
            assert asked in (set(), set(BATCH))
        case "remove":
            assert asked <= {"one"}
        case _:
            assert asked in (set(), set(BATCH))
    if scenario in {"remove", "batch_remove"}:
        assert bool(asked) != accepted(boundary), "a removal is forgotten, or done that was not accepted"
    assert {path.name for path in (data / "workers").iterdir()} == there
    assert counts(data) == dict.fromkeys(there, 1), "something runs twice, or not at all"
    assert held_locks(data) == there


def accepted(boundary: str) -> bool:
    return REMOVE.index(boundary) >= REMOVE.index(ACCEPTED_FROM)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_boundary_of_the_scenario_is_tried(scenario: str, run_process: RunProcess, start_node: StartNode) -> None:
    process = await run_process(scenario)
    assert process.done
    assert set(process.boundaries) - {"PublishHealth", "Measured"} == set(SCENARIOS[scenario]) - {"PublishHealth", "Measured"}
    await process.kill()
    await start_node()  # takes the workers over, so that they end with the test
