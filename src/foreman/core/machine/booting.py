"""The start of the node: what was found on disk, then what the supervisor already runs.

Nothing is started before the supervisor has told what it has, because until then no worker is known not to run. Commands that come
earlier are kept and handled right after.
"""

from foreman.core.batches import CreateBatch, JournalRecord, RemoveBatch
from foreman.core.effects import AttachSupervisor, ClearJournal, KillWorker, ProbeReadiness, SignalWorker
from foreman.core.events import NodeScanned, RunningWorker, SupervisorAttached, SupervisorLost, TimerKind, Unusable
from foreman.core.ids import service_name
from foreman.core.kinds import NotifyReadiness, StartedReadiness
from foreman.core.lifecycle import HAS_PROCESS, Move, State
from foreman.core.machine import exiting, removing, starting, stopping
from foreman.core.machine.node import Removal
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Process, Purpose, Worker
from foreman.core.manifest import Desired, Manifest
from foreman.core.views import WorkerRef


def scanned(turn: Turn, event: NodeScanned) -> None:
    """Register every directory as what it is, and take up what the journal says was not finished."""
    for manifest in event.mine:
        worker = worker_of(turn, manifest)
        turn.node.add(worker)
        turn.move(worker, Move.FOUND if manifest.desired is Desired.RUNNING else Move.FOUND_STOPPED)
    for unusable in event.unusable:
        _show_unusable(turn, unusable)
    for record in event.journal:
        _resume(turn, record)
    turn.node.scanned = True
    turn.do(AttachSupervisor())


def worker_of(turn: Turn, manifest: Manifest) -> Worker:
    """The record of a worker whose directory was found."""
    ref = WorkerRef(manifest.id, manifest.kind, service_name(turn.node.cluster, manifest.id))
    return Worker(
        manifest.id,
        manifest.kind,
        dict(manifest.params),
        ref,
        manifest.created_at,
        manifest.desired,
        batch=manifest.batch,
        requested_at=turn.now,
    )


def _show_unusable(turn: Turn, found: Unusable) -> None:
    ref = WorkerRef(found.id, found.kind, service_name(turn.node.cluster, found.id))
    worker = Worker(found.id, found.kind, {}, ref, 0.0, Desired.RUNNING, start_failure=found.reason)
    turn.node.add(worker)
    turn.move(worker, Move.FOUND_UNUSABLE, found.reason)


def _resume(turn: Turn, record: JournalRecord) -> None:
    batch = record.batch
    targets = [worker for worker in _named_by(turn, record) if worker.state is not State.UNUSABLE]
    if not targets:
        turn.do(ClearJournal(batch))
        return
    turn.node.removals[batch] = Removal(batch, {worker.id for worker in targets}, {}, journaled=True)
    for worker in targets:
        worker.removals.add(batch)
        turn.tell(worker, "It is removed: the journal says that this was begun before the server ended.", f"batch {batch}")


def _named_by(turn: Turn, record: JournalRecord) -> list[Worker]:
    workers = turn.node.workers.values()
    match record:
        case CreateBatch(batch):
            return [worker for worker in workers if worker.batch == batch]
        case RemoveBatch(_, targets):
            marks = {target.id: target.created_at for target in targets}
            return [worker for worker in workers if worker.id in marks and marks[worker.id] in (None, worker.created_at)]


def attached(turn: Turn, event: SupervisorAttached) -> None:
    """Adopt what is ours, end what is nobody's, and treat as gone what should be there and is not."""
    node = turn.node
    node.attached = True
    running = {found.id: found for found in event.running}
    for found in event.running:
        _meet(turn, found)
    for worker in list(node.workers.values()):
        if worker.process is not None and worker.id not in running:
            exiting.lost(turn, worker, "the supervisor does not know it")
    if not node.booted:
        node.booted = True
        for removal in list(node.removals.values()):
            removing.begin(turn, removal)


def _meet(turn: Turn, found: RunningWorker) -> None:
    worker = turn.node.workers.get(found.id)
    if worker is None:
        turn.do(KillWorker(found.id, found.incarnation))
    elif worker.process is not None and worker.process.incarnation == found.incarnation:
        _meet_again(turn, worker, found)
    elif worker.state in (State.WAITING, State.STOPPED):
        _adopt(turn, worker, found)
    elif worker.state is not State.UNUSABLE:
        turn.do(KillWorker(found.id, found.incarnation))


def _meet_again(turn: Turn, worker: Worker, found: RunningWorker) -> None:
    process = worker.process
    assert process is not None
    process.pid = found.pid
    if process.signalled:
        turn.do(SignalWorker(worker.id, process.incarnation, turn.node.kinds[worker.kind].stop.signal))
    if found.ready and worker.state is State.STARTING:
        starting.became_ready(turn, worker)
    turn.dirty(worker)


def _adopt(turn: Turn, worker: Worker, found: RunningWorker) -> None:
    spec, settings = turn.node.kinds[worker.kind], turn.node.settings
    deadline = turn.now + (spec.start_timeout_s or settings.start_timeout_s)
    worker.process = Process(found.incarnation, turn.now, deadline, found.pid, holds_slot=False, named=True)
    worker.process.status_text, worker.process.endpoint, worker.process.reported = found.status_text, found.endpoint, found.health
    worker.starts, worker.started_at = 1, turn.at.wall - found.age_s
    was_stopped = worker.state is State.STOPPED
    if found.ready and not was_stopped:
        worker.process.ready_at = turn.now
        turn.move(worker, Move.ADOPTED_READY, f"pid {found.pid}")
        return
    turn.move(worker, Move.ADOPTED, f"pid {found.pid}")
    if was_stopped:
        stopping.begin(turn, [worker], Purpose.STOP)
        return
    turn.set_timer(TimerKind.START_DEADLINE, worker, deadline)
    match spec.ready:
        case NotifyReadiness():
            pass
        case StartedReadiness():
            starting.became_ready(turn, worker)
        case probe:
            turn.do(ProbeReadiness(worker.id, found.incarnation, worker.kind, worker.params, probe))


def supervisor_lost(turn: Turn, event: SupervisorLost) -> None:
    """Every process is gone with the supervisor. None of this counts against a worker."""
    node = turn.node
    node.attached = False
    for worker in list(node.workers.values()):
        if worker.state in HAS_PROCESS:
            exiting.lost(turn, worker, event.reason)
    if not node.ending:
        turn.do(AttachSupervisor())
