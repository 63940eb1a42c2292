"""Removal: unadvertise, stop, proof of exit, rename into trash, delete, forget. Always a batch, even of one.

The journal record comes first, so that a removal once accepted is finished by the next server. It names each worker with the time
it was created: a later worker with the same id is never its victim. One worker's failure never spoils another's.
"""

import errno

from foreman.core.batches import RemovalTarget, RemoveBatch
from foreman.core.effects import ClearJournal, DeleteTrash, MoveToTrash, WriteJournal
from foreman.core.errors import FailedToRemoveDirectory, ForemanError, ForemanTimeout, WorkerBusy, WorkerNotFound
from foreman.core.events import JournalWritten, RemoveWorkers, TimerKind, TrashDeleted, Trashed, TrashFailed
from foreman.core.ids import BatchId, WorkerId
from foreman.core.lifecycle import Move, State
from foreman.core.machine import creating, stopping
from foreman.core.machine.node import Removal
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Purpose, Worker
from foreman.core.manifest import Desired


def requested(turn: Turn, event: RemoveWorkers) -> None:
    """Refuse what is not there or not ours; promise the rest durably."""
    node = turn.node
    refused: dict[str, ForemanError | None] = {id: problem for id in event.ids if (problem := _refusal(turn, id)) is not None}
    targets = [node.workers[id] for id in event.ids if id not in refused]
    if not targets:
        turn.reply(event.request, {id: refused[id] for id in event.ids})
        return
    batch = BatchId(f"remove-{turn.fresh()}")
    removal = Removal(batch, {worker.id for worker in targets}, dict(refused), event.request, event.timeout_s, event.ids)
    node.removals[batch] = removal
    turn.expect(removal, event.request, event.timeout_s)
    for worker in targets:
        creating.overruled(turn, worker, "it was removed on request")
        worker.removals.add(batch)
        turn.tell(worker, "Its removal was asked for; that is made durable first.")
    turn.do(WriteJournal(RemoveBatch(batch, tuple(RemovalTarget(worker.id, worker.created_at) for worker in targets))))


def _refusal(turn: Turn, id: WorkerId) -> ForemanError | None:
    worker = turn.node.workers.get(id)
    if worker is None:
        return WorkerNotFound(id)
    if turn.node.ending:
        return WorkerBusy(id, "ending with its node")
    if worker.state is State.UNUSABLE:
        path = f"{turn.node.settings.workers_root}/{id}"
        return FailedToRemoveDirectory(id, errno.EPERM, "EPERM", path)
    return None


def journal_written(turn: Turn, removal: Removal, event: JournalWritten) -> None:
    """Go on, durable or not: a removal frees space, so a full disk must not stand in its way."""
    removal.journaled = event.error is None
    if event.error is not None:
        for id in removal.left & turn.node.workers.keys():
            turn.tell(turn.node.workers[id], "The journal could not be written; the removal goes on without it.", str(event.error))
    begin(turn, removal)


def begin(turn: Turn, removal: Removal) -> None:
    """Stop side by side, with one deregistration, all that run; move away all that do not."""
    workers = [turn.node.workers[id] for id in sorted(removal.left) if id in turn.node.workers]
    running = [w for w in workers if w.state in (State.STARTING, State.RUNNING)]
    if running:
        stopping.begin(turn, running, Purpose.REMOVE)
    for worker in workers:
        if worker not in running:
            proceed(turn, worker)
    if not removal.left:
        _done(turn, removal)


def proceed(turn: Turn, worker: Worker) -> None:
    """The next step towards its removal, from whatever state."""
    match worker.state:
        case State.STARTING | State.RUNNING:
            stopping.begin(turn, [worker], Purpose.REMOVE)
        case State.STOPPING:
            assert worker.process is not None
            worker.process.purpose = Purpose.REMOVE
            turn.dirty(worker)
        case State.WAITING | State.BACKING_OFF | State.STOPPED | State.FINISHED | State.FAILED:
            turn.cancel_timer(TimerKind.BACK_OFF, worker)
            turn.move(worker, Move.REMOVAL_REQUESTED)
            turn.do(MoveToTrash(worker.id))
        case State.PREPARING | State.REMOVING | State.UNUSABLE | None:
            pass  # its directory is being made (goes on when it is), or is on its way out already, or not ours to touch


def trashed(turn: Turn, event: Trashed) -> None:
    """Out of the way: forgotten now, so that the id is free again; deleted next."""
    worker = turn.node.workers.get(event.id)
    if worker is None or worker.state is not State.REMOVING:
        return
    batches = set(worker.removals)
    for request in sorted(worker.stops):
        turn.settle(request, WorkerNotFound(worker.id))
    turn.move(worker, Move.REMOVED)
    if event.path:
        turn.node.deleting[event.path] = (worker.id, batches)
        turn.do(DeleteTrash(worker.id, event.path))
        return
    for batch in sorted(batches):
        result(turn, batch, worker.id, None)


def trash_failed(turn: Turn, event: TrashFailed) -> None:
    """It stays, stopped, and says so in its manifest if that can be written."""
    worker = turn.node.workers.get(event.id)
    if worker is None or worker.state is not State.REMOVING:
        return
    batches, worker.removals = sorted(worker.removals), set()
    turn.move(worker, Move.NOT_REMOVED, str(event.error))
    for request in sorted(worker.stops):
        turn.settle(request, None)
    worker.stops.clear()
    stopping.record(turn, worker, Desired.STOPPED)
    for batch in batches:
        turn.node.removals[batch].stuck.add(worker.id)
        result(turn, batch, worker.id, event.error)


def trash_deleted(turn: Turn, event: TrashDeleted) -> None:
    """Deleted whole, or with something left that is named."""
    id, batches = turn.node.deleting.pop(event.path, (event.id, set()))
    for batch in sorted(batches):
        result(turn, batch, id, event.error)


def result(turn: Turn, batch: BatchId, id: WorkerId, error: ForemanError | None) -> None:
    """One of the batch is done, well or badly."""
    removal = turn.node.removals.get(batch)
    if removal is None or removal.clearing:
        return
    removal.left.discard(id)
    removal.results[id] = error
    if not removal.left:
        _done(turn, removal)


def _done(turn: Turn, removal: Removal) -> None:
    if removal.undoes is not None:
        del turn.node.removals[removal.batch]
        creating.undone(turn, removal, removal.undoes)
    elif removal.journaled and (removal.request is not None or not removal.stuck):
        removal.clearing = True
        turn.do(ClearJournal(removal.batch))
    else:
        _answer(turn, removal)  # what is stuck and nobody was told of stays promised: the next start tries again


def journal_cleared(turn: Turn, removal: Removal) -> None:
    """Nothing of it is left, not even its record; if that could not be cleared, it names only what is gone."""
    if removal.clearing:
        _answer(turn, removal)


def _answer(turn: Turn, removal: Removal) -> None:
    del turn.node.removals[removal.batch]
    if removal.request is not None:
        turn.settle(removal.request, {id: removal.results[id] for id in removal.order})


def late(turn: Turn, removal: Removal) -> None:
    """The caller's patience is over; the removal goes on."""
    assert removal.request is not None
    waiting = {id: ForemanTimeout(f"the removal of {id}", removal.timeout_s) for id in removal.left}
    turn.settle(removal.request, {id: removal.results.get(id, waiting.get(id)) for id in removal.order})
    removal.request = None
