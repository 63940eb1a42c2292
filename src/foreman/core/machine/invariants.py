"""What must hold after every event. Each line of :func:`check` is a promise of the product; all tests run with it on."""

from collections import Counter

from foreman.core.health import HealthStatus
from foreman.core.lifecycle import COMING_UP, HAS_PROCESS, State
from foreman.core.machine.node import Creation, Node, Removal, Stop
from foreman.core.machine.worker import Worker, health_of


def check(node: Node) -> None:
    """Raise AssertionError with the broken promise, and the story of the worker that breaks it."""
    for worker in node.workers.values():
        for broken in _of_worker(node, worker):
            raise AssertionError(f"{worker.id} ({worker.state}): {broken}; its story: {list(worker.story)}")
    for broken in (*_of_indexes(node), *_of_requests(node)):
        raise AssertionError(broken)


def _of_worker(node: Node, worker: Worker) -> list[str]:
    process, state = worker.process, worker.state
    promises = {
        "a worker in the registry has a state": state is not None,
        "a process exists exactly where the table says one may": (process is not None) == (state in HAS_PROCESS),
        "advertised means running and ok": worker.id not in node.advertised or (state is State.RUNNING and health_of(worker).is_ok),
        "running and ok is advertised, but not on an ending node": worker.id in node.advertised
        or node.ending
        or not (state is State.RUNNING and health_of(worker).is_ok),
        "stopping has a purpose, and nothing else has": process is None or (process.purpose is not None) == (state is State.STOPPING),
        "a ready worker was seen ready": state is not State.RUNNING or (process is not None and process.ready_at is not None),
        "a slot is held only while starting": process is None or not process.holds_slot or state is State.STARTING,
        "removing means that a removal wants it": state is not State.REMOVING or bool(worker.removals),
        "a removal that wants it is known": worker.removals <= node.removals.keys(),
        "who waits for it is known": worker.creations <= node.requests.keys() and worker.stops <= node.requests.keys(),
        "nobody is signalled before the directory forgot it": process is None or not (process.withdrawing and worker.id in node.advertised),
        "what is shown is true": worker.shown == (state, health_of(worker), worker.incarnation),
        "nothing runs on an ended node": not node.ended or state not in HAS_PROCESS or node.draining is None,
        "the story is bounded": len(worker.story) <= node.settings.story_lines,
    }
    return [promise for promise, kept in promises.items() if not kept]


def _of_indexes(node: Node) -> list[str]:
    workers = list(node.workers.values())
    waiting = {kind: set(queue) for kind, queue in node.waiting.items() if queue}
    waits: dict[str, set[str]] = {}
    for worker in workers:
        if worker.state is State.WAITING:
            waits.setdefault(worker.kind, set()).add(worker.id)
    blocking = {id for ids in node.blocking.values() for id in ids}
    promises = {
        "states are counted": node.states == Counter(worker.state for worker in workers),
        "healths are counted": node.healths == Counter(health_of(worker).status for worker in workers),
        "the queue holds who waits": waiting == waits,
        "start slots are counted": node.slots_used == sum(1 for w in workers if w.process is not None and w.process.holds_slot),
        "at most start_parallelism at once": node.slots_used <= node.settings.start_parallelism,
        "who holds others up is coming up": all(node.workers[id].state in COMING_UP for id in blocking if id in node.workers),
        "who holds others up exists": blocking <= node.workers.keys(),
        "only known workers are advertised": node.advertised.keys() <= node.workers.keys(),
        "the health shown is the workers'": node.health == node.aggregate(),
        "stopped workers do not count": node.health.status is not HealthStatus.STOPPED,
        "nothing is started without a supervisor": node.attached or not any(w.state in HAS_PROCESS for w in workers),
    }
    return [promise for promise, kept in promises.items() if not kept]


def _of_requests(node: Node) -> list[str]:
    broken = []
    for id, request in node.requests.items():
        match request:
            case Creation():
                waits = {w for w in request.ids if w in node.workers and id in node.workers[w].creations}
                if not request.failures and not waits and not request.committing:
                    broken.append(f"request {id} ({request.what}) waits for nobody and will never be answered")
            case Stop():
                if request.id not in node.workers or id not in node.workers[request.id].stops:
                    broken.append(f"request {id} waits for the stop of {request.id}, which does not know it")
            case Removal():
                if node.removals.get(request.batch) is not request:
                    broken.append(f"request {id} waits for removal {request.batch}, which is over")
            case _:
                if id not in node.patient:
                    broken.append(f"request {id} waits for health, and is not on the list")
    for removal in node.removals.values():
        deleting = {id for id, batches in node.deleting.values() if removal.batch in batches}
        lost = {id for id in removal.left if id not in node.workers or removal.batch not in node.workers[id].removals} - deleting
        if lost:
            broken.append(f"removal {removal.batch} waits for {sorted(lost)}, which nobody removes")
    return broken
