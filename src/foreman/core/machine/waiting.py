"""Who waits for the whole node, whose patience ends, and who has gone away."""

from foreman.core.errors import ForemanTimeout, WorkersUnhealthy
from foreman.core.events import RequestAbandoned, WaitForHealthy
from foreman.core.health import HealthStatus
from foreman.core.ids import RequestId
from foreman.core.machine import creating, removing
from foreman.core.machine.node import Creation, Node, Patience, Removal, Stop
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import health_of


def wait_for_healthy(turn: Turn, event: WaitForHealthy) -> None:
    """Remember who waits; the review after each turn answers."""
    turn.expect(Patience(event.request, event.timeout_s), event.request, event.timeout_s)
    turn.node.patient.add(event.request)


def review(turn: Turn) -> None:
    """After a turn: all are ok, or waiting cannot help, or go on waiting."""
    node = turn.node
    if not node.patient:
        return
    if node.aggregate().is_ok:
        outcome = None
    elif node.hopeless():
        outcome = WorkersUnhealthy(unhealthy(node))
    else:
        return
    for request in sorted(node.patient):
        turn.settle(request, outcome)
    node.patient.clear()


def unhealthy(node: Node) -> dict[str, str]:
    """Each worker that is neither ok nor stopped: its health and the last thing that happened to it."""
    found: dict[str, str] = {}
    for worker in node.of_kind(None):
        health = health_of(worker)
        if health.status not in (HealthStatus.OK, HealthStatus.STOPPED):
            found[worker.id] = str(health) if health.reason else f"{health}: {worker.note}"
    return found


def late(turn: Turn, id: RequestId) -> None:
    """A request's deadline has passed."""
    if turn.node.deferred.pop(id, None) is not None:
        turn.reply(id, ForemanTimeout("the start of the node", 0.0))
        return
    match turn.node.requests.get(id):
        case Creation() as creation:
            creating.late(turn, creation)
        case Removal() as removal:
            removing.late(turn, removal)
        case Stop(_, worker_id, timeout_s):
            worker = turn.node.workers[worker_id]
            worker.stops.discard(id)
            turn.settle_late(id, f"the stop of {worker_id}", timeout_s, {worker_id: worker.note})
        case Patience(_, timeout_s):
            turn.node.patient.discard(id)
            turn.settle_late(id, "waiting for all workers to be healthy", timeout_s, unhealthy(turn.node))
        case None:
            pass


def abandoned(turn: Turn, event: RequestAbandoned) -> None:
    """The caller is gone. Batches keep their deadline, because that is part of what was asked for."""
    id = event.request
    turn.node.deferred.pop(id, None)
    match turn.node.requests.get(id):
        case Patience():
            turn.node.patient.discard(id)
            turn.settle(id, None)
        case Stop() | Creation() | Removal() | None:
            pass  # settled by its end or its deadline; the server drops an answer that nobody waits for
