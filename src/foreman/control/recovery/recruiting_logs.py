"""Recruit the new logs: always fresh ones, as many as the wish says, spread over fault domains.

Fresh, because an old log is evidence until the new layout stands, and because a fresh one cannot be meant by anybody else's command.

Stalls: no node has the capability ``log``; or the nodes asked did not make them. Follows: recruiting storage.
"""

from foreman.control.placement import Place, place
from foreman.control.recovery.locking import find_endpoints
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery
from foreman.control.recovery.recruiting import ROUNDS, make_workers
from foreman.directory.records import Placement


async def recruit_logs(recovery: Recovery) -> Outcome:
    """The phase."""
    made: dict[int, Placement] = {}
    failures: dict[Placement, str] = {}
    for _ in range(ROUNDS):
        wanted = plan_logs(recovery, made)
        if not wanted:
            return Stalled("no node can be asked for logs", ("a node with the capability log",))
        failures = await make_workers(recovery, "log", list(wanted.values()))
        made |= {slot: worker for slot, worker in wanted.items() if worker not in failures}
        if not failures:
            break
    else:
        why = f"{len(made)} of {recovery.spec.logs} logs could be made"
        return Stalled(why, tuple(failures.values()), recovery.tools.settings.again_s)
    recovery.logs = tuple(made[slot] for slot in sorted(made))
    await find_endpoints(recovery, recovery.logs)
    lost = tuple(f"{log.id}: {recovery.not_found[log]}" for log in recovery.logs if log in recovery.not_found)
    if lost:
        return Stalled("a new log was lost at once", lost, recovery.tools.settings.again_s)
    return Next("recruiting storage")


def plan_logs(recovery: Recovery, made: dict[int, Placement]) -> dict[int, Placement]:
    """Slot → the worker to be made, for every slot that is still empty; {} when there is no place."""
    empty = [slot for slot in range(recovery.spec.logs) if slot not in made]
    beside = [Place(worker.node, recovery.domain(worker.node)) for worker in made.values()]
    nodes = place(len(empty), recovery.places("log"), beside=beside)
    return {slot: Placement(recovery.attempt.worker("log", slot, node), node) for slot, node in zip(empty, nodes, strict=False)}
