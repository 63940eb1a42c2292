"""The end of the node: one deregistration, then the kinds stop in reverse order of start, each with its grace, then the end."""

from foreman.core.effects import EndNode
from foreman.core.errors import ForemanUnavailable
from foreman.core.events import ShutdownRequested, TimerKind, Withdrawn
from foreman.core.lifecycle import Move, State
from foreman.core.machine import stopping
from foreman.core.machine.node import Creation, Patience, Stop
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Purpose


def requested(turn: Turn, event: ShutdownRequested) -> None:
    """Answered at once. ``keep_workers``: only this server goes; the next one adopts them."""
    node = turn.node
    if event.request is not None:
        turn.reply(event.request, None)
    if node.ending:
        return
    node.ending = True
    _turn_away(turn)
    if event.keep_workers:
        node.ended = True
        turn.do(EndNode(keep_workers=True))
        return
    for worker in list(node.workers.values()):
        if worker.state in (State.WAITING, State.BACKING_OFF) and not worker.removals:
            turn.cancel_timer(TimerKind.BACK_OFF, worker)
            turn.move(worker, Move.SHUT_DOWN)
    named = [worker for worker in node.workers.values() if worker.process is not None and worker.process.named]
    node.draining = {worker.id for worker in named}
    if named:
        turn.withdraw_now(named)


def _turn_away(turn: Turn) -> None:
    """Nobody waits for what will not come. Batches of creation stay journaled and are undone by the next start."""
    gone = ForemanUnavailable("this node", "it is shutting down")
    for id in list(turn.node.deferred):
        turn.reply(id, gone)
    turn.node.deferred.clear()
    turn.node.patient.clear()
    for id, request in list(turn.node.requests.items()):
        match request:
            case Creation():
                for worker_id in request.ids:
                    if worker_id in turn.node.workers:
                        turn.node.workers[worker_id].creations.discard(id)
                turn.settle(id, gone)
            case Patience():
                turn.settle(id, gone)
            case Stop():
                pass  # it is stopped with the others and answered then
            case _:
                pass  # a removal goes on


def withdrawn(turn: Turn, event: Withdrawn) -> None:
    """The directory names these no more; when it names none, the stopping begins."""
    draining = turn.node.draining
    if not draining:
        return
    for id in event.ids:
        draining.discard(id)
        worker = turn.node.workers.get(id)
        if worker is not None and worker.process is not None:
            worker.process.named = False


def review(turn: Turn) -> None:
    """After a turn of an ending node: stop the next kinds, or end when nobody lives any more."""
    node = turn.node
    if not node.ending or node.ended or node.draining:
        return
    living = [worker for worker in node.workers.values() if worker.process is not None]
    if not living:
        clearing = any(removal.clearing for removal in node.removals.values())
        if not clearing and State.REMOVING not in node.states and State.PREPARING not in node.states:
            node.ended = True
            turn.do(EndNode(keep_workers=False))
        return
    last = max(node.kinds.rank(worker.kind) for worker in living)
    chosen = [worker for worker in living if node.kinds.rank(worker.kind) == last]
    running = [worker for worker in chosen if worker.state in (State.STARTING, State.RUNNING)]
    if running:
        stopping.begin(turn, running, Purpose.SHUTDOWN)
    for worker in chosen:
        process = worker.process
        if process is not None and process.purpose not in (Purpose.REMOVE, Purpose.SHUTDOWN):
            process.purpose = Purpose.SHUTDOWN
            turn.dirty(worker)
