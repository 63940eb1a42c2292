"""New workers, one or all together, and everybody who waits for a worker to become ok.

A single new worker stays when its start fails, visible and retried. A batch is all or none: its journal record is durable before its
first directory; clearing the record once all are ok is the commit; anything that fails before that undoes what it made.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from foreman.core.batches import CreateBatch
from foreman.core.effects import ClearJournal, JudgeDirectory, PrepareDirectories, WriteJournal
from foreman.core.errors import BatchFailed, FailedToStart, ForemanError, InvalidRequest, WorkerBusy, WorkerExists
from foreman.core.events import DirectoryFailed, DirectoryPrepared, JournalCleared, JournalWritten, NewWorkers
from foreman.core.ids import BatchId, RequestId, WorkerId, service_name
from foreman.core.lifecycle import Move, State
from foreman.core.machine import removing, stopping
from foreman.core.machine.node import Creation, Removal
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Worker, health_of
from foreman.core.manifest import Desired, Manifest, params_json
from foreman.core.views import WorkerRef


def requested(turn: Turn, event: NewWorkers) -> None:
    """Create what is new, join what is there already with the same kind and params, refuse what does not fit."""
    node = turn.node
    problems: dict[str, ForemanError] = {}
    fresh = [item for item in event.items if item[0] not in node.workers]
    if node.ending:
        problems = {id: WorkerBusy(id, "not to be created: its node is ending") for id, _, _ in event.items}
    elif len(node.workers) + len(fresh) > node.settings.max_workers:
        problems = {fresh[0][0]: InvalidRequest([f"a node keeps at most {node.settings.max_workers} workers"])}
    for id, kind, params in event.items:
        problem = _cannot_join(node.workers.get(id), kind, params, node.creations)
        if problem is not None:
            problems.setdefault(id, problem)
    if problems:
        failed_batch = BatchFailed({id: str(problem) for id, problem in problems.items()})
        turn.reply(event.request, failed_batch if event.atomic else next(iter(problems.values())))
        return
    _create(turn, event, fresh)


def _cannot_join(
    worker: Worker | None, kind: str, params: Mapping[str, Any], open_batches: Mapping[BatchId, Creation]
) -> ForemanError | None:
    if worker is None:
        return None
    if worker.removals or worker.state is State.REMOVING:
        return WorkerBusy(worker.id, "being removed")
    if worker.batch in open_batches:
        return WorkerBusy(worker.id, "being created in a batch")
    if worker.state is State.UNUSABLE or worker.kind != kind or params_json(worker.params) != params_json(params):
        return WorkerExists(worker.id)
    if worker.state is State.FAILED:
        return FailedToStart(worker.id, worker.start_failure or worker.note)
    return None


def _create(turn: Turn, event: NewWorkers, fresh: list[tuple[WorkerId, str, Mapping[str, Any]]]) -> None:
    ids = tuple(id for id, _, _ in event.items)
    batch = BatchId(f"create-{turn.fresh()}") if event.atomic and fresh else None
    what = f"the creation of {ids[0]}" if len(ids) == 1 else f"the creation of {len(ids)} workers"
    made = tuple(id for id, _, _ in fresh)
    creation = Creation(event.request, ids, set(ids), event.timeout_s, what, batch, made, atomic=event.atomic)
    turn.expect(creation, event.request, event.timeout_s)
    manifests = [_make(turn, id, kind, params, batch) for id, kind, params in fresh]
    for id in ids:
        worker = turn.node.workers[id]
        worker.creations.add(event.request)
        turn.dirty(worker)
        if worker.state in (State.STOPPED, State.FINISHED):
            stopping.ask_up(turn, worker)
    if batch is not None:
        turn.node.creations[batch] = creation
        turn.do(WriteJournal(CreateBatch(batch, made)))
    elif manifests:
        turn.do(PrepareDirectories(tuple(manifests)))


def _make(turn: Turn, id: WorkerId, kind: str, params: Mapping[str, Any], batch: BatchId | None) -> Manifest:
    ref = WorkerRef(id, kind, service_name(turn.node.cluster, id))
    worker = Worker(id, kind, dict(params), ref, turn.at.wall, Desired.RUNNING, batch=batch, requested_at=turn.now)
    turn.node.add(worker)
    turn.move(worker, Move.REQUESTED)
    return _manifest(turn, worker)


def _manifest(turn: Turn, worker: Worker) -> Manifest:
    return Manifest(
        cluster=turn.node.cluster,
        id=worker.id,
        kind=worker.kind,
        params=worker.params,
        created_at=worker.created_at,
        desired=worker.desired,
        batch=worker.batch,
    )


def journal_written(turn: Turn, creation: Creation, event: JournalWritten) -> None:
    """The promise is durable: make the directories. Not durable: nothing was made, so there is nothing to undo."""
    creation.journaled = event.error is None
    if event.error is not None and not creation.failures:
        creation.failures = dict.fromkeys(creation.made, f"the journal could not be written: {event.error}")
    workers = [turn.node.workers[id] for id in creation.made]
    if not creation.failures:
        turn.do(PrepareDirectories(tuple(_manifest(turn, worker) for worker in workers)))
        return
    for worker in workers:
        _unmake(turn, worker, "its batch failed before it was begun")
    _undone(turn, creation)


def _unmake(turn: Turn, worker: Worker, reason: str) -> None:
    """Forget a worker whose directory was never made."""
    overruled(turn, worker, reason)
    for request in sorted(worker.stops):
        turn.settle(request, FailedToStart(worker.id, reason))
    batches = sorted(worker.removals)
    turn.move(worker, Move.NOT_PREPARED, reason)
    for batch in batches:
        removing.result(turn, batch, worker.id, None)


def prepared(turn: Turn, event: DirectoryPrepared) -> None:
    """Its directory is durable: it waits for its turn, unless somebody wants it down or gone by now."""
    worker = turn.node.workers.get(event.id)
    if worker is None or worker.state is not State.PREPARING:
        return
    turn.move(worker, Move.PREPARED)
    if worker.removals:
        removing.proceed(turn, worker)
    elif turn.node.ending:
        turn.move(worker, Move.SHUT_DOWN)
    elif worker.stops:
        stopping.record(turn, worker, Desired.STOPPED)


def not_prepared(turn: Turn, event: DirectoryFailed) -> None:
    """Its directory could not be made: it is forgotten, and who asked hears why."""
    worker = turn.node.workers.get(event.id)
    if worker is not None and worker.state is State.PREPARING:
        failed(turn, worker, event.error)
        _unmake(turn, worker, str(event.error))


# --- waiting until ok ---


def wait_until_ok(turn: Turn, worker: Worker, request: RequestId, timeout_s: float, what: str) -> None:
    """Answer the request when the worker is ok, or its start fails."""
    turn.expect(Creation(request, (worker.id,), {worker.id}, timeout_s, f"{what} of {worker.id}"), request, timeout_s)
    worker.creations.add(request)
    turn.dirty(worker)


def review(turn: Turn, changed: list[Worker]) -> None:
    """After a turn: who waited for these may be done, or has to wait again for one that fell back."""
    for worker in changed:
        ok = health_of(worker).is_ok
        for request in sorted(worker.creations):
            creation = turn.node.requests[request]
            assert isinstance(creation, Creation)
            if not ok:
                creation.waiting.add(worker.id)
                continue
            creation.waiting.discard(worker.id)
            if not creation.waiting and not creation.committing:
                _complete(turn, creation)


def _complete(turn: Turn, creation: Creation) -> None:
    if creation.batch is not None:
        creation.committing, creation.refs = True, _refs(turn, creation)
        turn.do(ClearJournal(creation.batch))
        return
    _release(turn, creation)
    turn.settle(creation.request, _refs(turn, creation))


def _refs(turn: Turn, creation: Creation) -> tuple[WorkerRef, ...]:
    return tuple(turn.node.workers[id].ref for id in creation.ids)


def _release(turn: Turn, creation: Creation) -> None:
    for id in creation.ids:
        worker = turn.node.workers.get(id)
        if worker is not None:
            worker.creations.discard(creation.request)


def journal_cleared(turn: Turn, creation: Creation, event: JournalCleared) -> None:
    """The commit, or no commit: then the batch is undone, because its record would undo it at the next start anyway."""
    if not creation.committing:
        return
    creation.committing = False
    if event.error is not None:
        _fail_all(turn, creation, {creation.ids[0]: f"the journal could not be cleared: {event.error}"})
        return
    assert creation.batch is not None
    del turn.node.creations[creation.batch]
    _release(turn, creation)
    turn.settle(creation.request, creation.refs)


# --- failing ---


def failed(turn: Turn, worker: Worker, error: ForemanError) -> None:
    """This worker's start failed: everybody who waits for it hears why."""
    for request in sorted(worker.creations):
        creation = turn.node.requests[request]
        assert isinstance(creation, Creation)
        if creation.atomic:
            _fail_all(turn, creation, {worker.id: str(error)})
        else:
            worker.creations.discard(request)
            turn.settle(request, error)


def overruled(turn: Turn, worker: Worker, why: str) -> None:
    """Somebody wants it down or gone while others wait for it."""
    failed(turn, worker, FailedToStart(worker.id, why))


def late(turn: Turn, creation: Creation) -> None:
    """Its deadline has passed. One worker goes on starting; a batch is undone."""
    if creation.failures:
        return  # it is being undone already
    late_ones: dict[str, str] = {id: str(health_of(turn.node.workers[id])) for id in sorted(creation.waiting)}
    if creation.atomic:
        _fail_all(turn, creation, {id: f"{health} after {creation.timeout_s:g} s" for id, health in late_ones.items()})
        return
    _release(turn, creation)
    turn.settle_late(creation.request, creation.what, creation.timeout_s, late_ones)


def _fail_all(turn: Turn, creation: Creation, failures: dict[str, str]) -> None:
    if creation.committing:
        return
    first = not creation.failures
    creation.failures = {**failures, **creation.failures}
    if not first:
        return
    _release(turn, creation)
    if creation.batch is None:
        turn.settle(creation.request, BatchFailed(creation.failures))
    elif creation.journaled:
        turn.afterwards(partial(_undo, turn, creation, creation.batch))


def _undo(turn: Turn, creation: Creation, batch: BatchId) -> None:
    workers = [turn.node.workers[id] for id in creation.made if id in turn.node.workers]
    removal = Removal(batch, {worker.id for worker in workers}, {}, journaled=True, undoes=creation)
    turn.node.removals[batch] = removal
    for worker in workers:
        worker.removals.add(batch)
        overruled(turn, worker, "its batch failed, so it is removed again")
        turn.tell(worker, "Its batch failed; it is removed again.", "; ".join(creation.failures.values()))
    removing.begin(turn, removal)


def undone(turn: Turn, removal: Removal, creation: Creation) -> None:
    """What the batch made is gone again; what could not be removed is named, and its record stays for the next start."""
    left = {id: error for id, error in removal.results.items() if error is not None}
    creation.failures |= {id: f"could not be removed again: {error}" for id, error in left.items()}
    creation.journaled = not removal.stuck
    _undone(turn, creation)


def _undone(turn: Turn, creation: Creation) -> None:
    assert creation.batch is not None
    del turn.node.creations[creation.batch]
    if creation.journaled:
        turn.do(ClearJournal(creation.batch))
    _release(turn, creation)
    turn.settle(creation.request, BatchFailed(creation.failures))


# --- directories that were not usable ---


def judge(turn: Turn, worker: Worker) -> None:
    """Have an unusable directory looked at again."""
    if not worker.judging:
        worker.judging = True
        turn.do(JudgeDirectory(worker.id))


def become(turn: Turn, worker: Worker, manifest: Manifest) -> None:
    """Its directory is in order now: it is what its manifest says."""
    worker.kind, worker.params, worker.created_at = manifest.kind, dict(manifest.params), manifest.created_at
    worker.desired, worker.batch, worker.start_failure = Desired.RUNNING, manifest.batch, None
    worker.ref = WorkerRef(worker.id, worker.kind, service_name(turn.node.cluster, worker.id))
    worker.first_time, worker.requested_at = False, turn.now
    turn.node.add(worker)
