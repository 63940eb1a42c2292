"""A node in a process of its own that does one thing and, when told so, kills itself with SIGKILL on the way.

    python -m tests.processes.node_process DATA SCENARIO [BOUNDARY]

BOUNDARY names an event or effect ("before the first StartWorker that the scenario causes"). Without it the scenario is done to its end and
the process waits to be killed. Each line on stdout is a JSON array: ["boundary", NAME], ["keep", PID], ["done"].
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foreman.bootstrap.assembly import Node, NodePlan
from foreman.bootstrap.logs import configure_logs
from foreman.core.effects import Effect
from foreman.core.events import Event
from foreman.core.interface import ForemanInterface
from foreman.node.configuration import load
from tests.processes.kinds import KINDS

ORPHAN_GRACE_S: Final = 30.0
BATCH: Final = ("b1", "b2", "b3")


def tell(*line: object) -> None:
    print(json.dumps(line), flush=True)


class Killer:
    """Counts nothing before :attr:`armed`; then dies before the first event or effect of this name."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._told: set[str] = set()
        self.armed = False

    def __call__(self, boundary: Event | Effect) -> None:
        name = type(boundary).__name__
        if not self.armed:
            return
        if name == self._name:
            os.kill(os.getpid(), signal.SIGKILL)
        if name not in self._told:
            self._told.add(name)
            tell("boundary", name)


def plan(
    data: Path, killer: Callable[[Event | Effect], None] | None = None, *, orphan_grace_s: float = ORPHAN_GRACE_S, serve: bool = False
) -> NodePlan:
    configuration = load(flags={"node.data": str(data), "node.cluster": "test", "supervision.max_restarts": 3}, folder=data.parent)
    return NodePlan(configuration, orphan_grace_s, kinds=KINDS, serve=serve, check=True, boundary=killer)


async def prepare(foreman: ForemanInterface, scenario: str) -> None:
    await foreman.new_worker("keep", "good")
    tell("keep", (await foreman.info("keep")).pid)
    if scenario == "remove":
        await foreman.new_worker("one", "good")
    if scenario == "batch_remove":
        await foreman.new_workers([(id, "good") for id in BATCH])


async def act(foreman: ForemanInterface, scenario: str) -> None:
    match scenario:
        case "create":
            await foreman.new_worker("one", "good")
        case "batch_create":
            await foreman.new_workers([(id, "good") for id in BATCH])
        case "remove":
            await foreman.remove_worker("one")
        case "batch_remove":
            await foreman.remove_workers(BATCH)
        case _:
            raise ValueError(scenario)


async def main(data: Path, scenario: str, boundary: str | None) -> None:
    configure_logs("warning")
    killer = Killer(boundary)
    node = await Node.start(plan(data, killer))
    await prepare(node.foreman, scenario)
    killer.armed = True
    await act(node.foreman, scenario)
    tell("done")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None))
