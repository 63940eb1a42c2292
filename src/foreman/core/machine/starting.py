"""From waiting to ready: whose turn it is, the start itself, and its deadlines.

Order: a kind starts after the kinds it names, side by side within a kind, at most ``start_parallelism`` at once. Whoever takes
longer than ``start_slot_s`` gives up its slot, after ``start_precedence_s`` its precedence, so a slow or hung start delays nobody else.
"""

from foreman.core.effects import ProbeReadiness, StartWorker
from foreman.core.errors import FailedToStart, ForemanError, WorkerDirectoryBusy
from foreman.core.events import RefusalReason, StartRefused, TimerKind, WorkerReady, WorkerStarted
from foreman.core.kinds import NotifyReadiness, StartedReadiness
from foreman.core.lifecycle import Move, State
from foreman.core.machine import creating, exiting, stopping
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Process, Purpose, Worker
from foreman.core.restarting import Ending


def admit(turn: Turn) -> None:
    """Start every worker whose turn has come."""
    node = turn.node
    if not node.attached or not node.booted or node.ending:
        return
    for kind in sorted((k for k, queue in node.waiting.items() if queue), key=lambda k: (node.kinds.rank(k), k)):
        held_up = any(node.blocking.get(before) for before in node.kinds.before(kind))
        for id in list(node.waiting[kind]):
            if node.slots_used >= node.settings.start_parallelism:
                return
            worker = node.workers[id]
            if not (held_up and worker.first_time):
                _begin(turn, worker)


def _begin(turn: Turn, worker: Worker) -> None:
    spec, settings = turn.node.kinds[worker.kind], turn.node.settings
    deadline = turn.now + (spec.start_timeout_s or settings.start_timeout_s)
    worker.process = Process(turn.fresh(), turn.now, deadline)
    worker.starts += 1
    turn.node.slots_used += 1
    turn.move(worker, Move.TURN_CAME)
    turn.do(StartWorker(worker.id, worker.process.incarnation, worker.kind, worker.params))
    turn.set_timer(TimerKind.START_DEADLINE, worker, deadline)
    turn.set_timer(TimerKind.START_SLOT, worker, turn.now + settings.start_slot_s)


def started(turn: Turn, worker: Worker, event: WorkerStarted) -> None:
    """Its process exists. Whether that is enough, or is to be found out, is its kind's to say."""
    assert worker.process is not None
    worker.process.pid, worker.started_at = event.pid, turn.at.wall
    turn.dirty(worker)
    turn.tell(worker, "Its process runs.", f"pid {event.pid}")
    if worker.state is not State.STARTING:
        return
    match turn.node.kinds[worker.kind].ready:
        case NotifyReadiness():
            pass
        case StartedReadiness():
            became_ready(turn, worker)
        case probe:
            turn.do(ProbeReadiness(worker.id, event.incarnation, worker.kind, worker.params, probe))


def said_ready(turn: Turn, worker: Worker, _event: WorkerReady) -> None:
    """READY=1. Said again, or while it is being stopped, it changes nothing."""
    if worker.state is State.STARTING:
        became_ready(turn, worker)


def became_ready(turn: Turn, worker: Worker) -> None:
    """It is ready: its deadlines are over, its slot is free."""
    assert worker.process is not None
    worker.process.ready_at = turn.now
    worker.start_failure, worker.busy_directory = None, False
    _end_start(turn, worker)
    turn.move(worker, Move.READY)


def _end_start(turn: Turn, worker: Worker) -> None:
    turn.node.release_slot(worker)
    turn.cancel_timer(TimerKind.START_DEADLINE, worker)
    turn.cancel_timer(TimerKind.START_SLOT, worker)


def ended(turn: Turn, worker: Worker) -> None:
    """This start is over, whatever the outcome."""
    if worker.state is State.STARTING:
        _end_start(turn, worker)


def refused(turn: Turn, worker: Worker, event: StartRefused) -> None:
    """No process was started: the lock is held by somebody, or the program cannot be run. Retried by the restart policy."""
    if worker.state is State.STOPPING:
        exiting.gone(turn, worker, Ending(normal=False, ran_s=None, what=event.detail))
        return
    worker.busy_directory = event.reason is RefusalReason.BUSY
    exiting.gone(turn, worker, Ending(normal=False, ran_s=None, what=event.detail), refused=True)


def slot_late(turn: Turn, worker: Worker) -> None:
    """It takes long. Others of its kind go on at once, those that start after it a little later."""
    process = worker.process
    if worker.state is not State.STARTING or process is None:
        return
    if process.holds_slot:
        turn.node.release_slot(worker)
        turn.set_timer(TimerKind.START_SLOT, worker, process.asked_at + turn.node.settings.start_precedence_s)
        turn.tell(worker, "Its start takes long; another may start meanwhile.")
        return
    turn.node.unblock(worker)
    turn.tell(worker, "Its start takes long; kinds that start after it do not wait any more.")


def deadline_passed(turn: Turn, worker: Worker) -> None:
    """It was not ready in time: the callers hear so now, and it is ended and tried again."""
    process = worker.process
    if worker.state is not State.STARTING or process is None:
        return
    if turn.now < process.deadline:
        turn.set_timer(TimerKind.START_DEADLINE, worker, process.deadline)
        return
    failed(turn, worker, f"it was not ready within {turn.now - process.asked_at:.3g} s")
    _end_start(turn, worker)
    stopping.begin(turn, [worker], Purpose.RETRY, Move.LATE)


def failed(turn: Turn, worker: Worker, reason: str) -> None:
    """Make a failed start visible, and tell all who wait for it."""
    worker.start_failure = reason
    turn.node.unblock(worker)
    turn.dirty(worker)
    creating.failed(turn, worker, start_error(turn, worker, reason))


def start_error(turn: Turn, worker: Worker, reason: str) -> ForemanError:
    """What a caller gets for a failed start."""
    if worker.busy_directory:
        return WorkerDirectoryBusy(worker.id, f"{turn.node.settings.workers_root}/{worker.id}")
    return FailedToStart(worker.id, reason)
