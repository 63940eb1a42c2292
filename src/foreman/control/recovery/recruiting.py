"""Asking foremen for new workers: side by side, each with a deadline, and elsewhere when a node does not answer.

Shared by the two phases that recruit. What failed to come is a matter of the phase.
"""

from collections.abc import Sequence
from typing import Final

from foreman.control.recovery.recovery import Recovery
from foreman.core.errors import ForemanError
from foreman.directory.records import Placement
from foreman.kernel.together import together

ROUNDS: Final = 3
"""How often a plan is made anew in one run because nodes did not do what they were asked."""


async def make_workers(recovery: Recovery, kind: str, workers: Sequence[Placement]) -> dict[Placement, str]:
    """Those that could not be made, and why. A worker that is there already is the same one (its name is the attempt's)."""
    outcomes = await together(_make(recovery, kind, worker) for worker in workers)
    return {worker: why for worker, why in zip(workers, outcomes, strict=True) if why is not None}


async def _make(recovery: Recovery, kind: str, worker: Placement) -> str | None:
    tools = recovery.tools
    node = recovery.view.nodes.get(worker.node)
    if node is None:
        return f"node {worker.node} is not there"
    params = tools.log_params if kind == "log" else tools.storage_params
    recovery.told.pop(worker.node, None)
    try:
        await tools.foremen.new_worker(node, worker.id, kind, params, tools.settings.recruit_timeout_s)
    except ForemanError as error:
        recovery.unsure.add(worker.node)
        return f"node {worker.node}: {error}"
    tools.tell(f"{worker.id} was recruited on node {worker.node}", "the layout needs it")
    return None
