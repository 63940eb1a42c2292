"""Asking a worker to end: out of the directory first, then its signal, its grace, and KILL to everything it started."""

from foreman.core.effects import KillWorker, RecordDesired, SignalWorker
from foreman.core.errors import ForemanError, WorkerBusy, WorkerNotFound
from foreman.core.events import (
    DesiredRecorded,
    DirectoryJudged,
    RestartWorkerRequested,
    StartWorkerRequested,
    StopWorkerRequested,
    TimerKind,
    Withdrawn,
)
from foreman.core.lifecycle import Move, State
from foreman.core.machine import creating, exiting, starting
from foreman.core.machine.node import Stop
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Purpose, Worker
from foreman.core.manifest import Desired


def begin(turn: Turn, workers: list[Worker], purpose: Purpose, move: Move = Move.STOP_REQUESTED) -> None:
    """Ask these to end, side by side, with one deregistration for all. Each has a process."""
    named = [worker for worker in workers if worker.process is not None and worker.process.named]
    if named:
        turn.withdraw_now(named)
    leaving = {worker.id for worker in named}
    for worker in workers:
        process = worker.process
        assert process is not None
        starting.ended(turn, worker)
        turn.move(worker, move)
        process.purpose, process.withdrawing = purpose, worker.id in leaving
        if not process.withdrawing:
            _signal(turn, worker)


def _signal(turn: Turn, worker: Worker) -> None:
    process = worker.process
    assert process is not None
    stop = turn.node.kinds[worker.kind].stop
    process.signalled = True
    process.deadline = turn.now + stop.grace_s
    turn.do(SignalWorker(worker.id, process.incarnation, stop.signal))
    turn.set_timer(TimerKind.STOP_GRACE, worker, process.deadline)


def kill(turn: Turn, worker: Worker) -> None:
    """KILL now, and again after a while: the first one may have met a process that was just being forked."""
    process = worker.process
    assert process is not None
    process.signalled = True
    turn.do(KillWorker(worker.id, process.incarnation))
    turn.set_timer(TimerKind.STOP_GRACE, worker, turn.now + turn.node.settings.kill_again_s)


def withdrawn(turn: Turn, event: Withdrawn) -> None:
    """The directory names them no more (or is away): now they may be signalled."""
    for id in event.ids:
        worker = turn.node.workers.get(id)
        if worker is None or worker.process is None or not worker.process.withdrawing:
            continue
        worker.process.withdrawing = False
        if not event.confirmed:
            turn.tell(worker, "The directory is away; the gateway takes it out when it is back.")
        if not worker.process.signalled:
            _signal(turn, worker)


def grace_over(turn: Turn, worker: Worker) -> None:
    """It had its time."""
    process = worker.process
    if worker.state is not State.STOPPING or process is None:
        return
    if turn.now < process.deadline:
        turn.set_timer(TimerKind.STOP_GRACE, worker, process.deadline)
        return
    turn.tell(worker, "Its grace is over; it is killed with everything it started.")
    kill(turn, worker)


# --- stop, start, restart on request ---


def stop_requested(turn: Turn, event: StopWorkerRequested) -> None:
    """Promise it durably first; then stop."""
    worker = turn.node.workers.get(event.id)
    problem = _not_now(turn, worker, event.id)
    if problem is not None or worker is None:
        turn.reply(event.request, problem)
        return
    if worker.state is State.UNUSABLE or (worker.state is State.STOPPED and worker.desired is Desired.STOPPED):
        turn.reply(event.request, None)
        return
    turn.expect(Stop(event.request, event.id, event.timeout_s), event.request, event.timeout_s)
    worker.stops.add(event.request)
    creating.overruled(turn, worker, "it was stopped on request")
    if worker.state is not State.PREPARING:
        record(turn, worker, Desired.STOPPED)


def record(turn: Turn, worker: Worker, desired: Desired) -> None:
    """Write what is wanted into the manifest first; ``recorded`` goes on."""
    if worker.recording is not desired:
        worker.recording = desired
        turn.do(RecordDesired(worker.id, desired))


def recorded(turn: Turn, event: DesiredRecorded) -> None:
    """The manifest says so now: do it."""
    worker = turn.node.workers.get(event.id)
    if worker is None or worker.recording is None:
        return
    desired, worker.recording = worker.recording, None
    if event.error is not None:
        _not_recorded(turn, worker, event.error)
        return
    worker.desired = desired
    if desired is Desired.STOPPED:
        _stop(turn, worker)
    else:
        _start(turn, worker)


def _not_recorded(turn: Turn, worker: Worker, error: ForemanError) -> None:
    turn.tell(worker, "Its manifest could not be written; it stays as it is.", str(error))
    for request in sorted(worker.stops):
        turn.settle(request, error)
    worker.stops.clear()
    if worker.state in (State.STOPPED, State.FINISHED, State.FAILED):
        creating.failed(turn, worker, error)


def _stop(turn: Turn, worker: Worker) -> None:
    process = worker.process
    if worker.state is State.STOPPING and process is not None:
        assert process.purpose is not None
        process.purpose = max(process.purpose, Purpose.STOP, key=lambda purpose: purpose.value)
        turn.dirty(worker)
    elif process is not None:
        begin(turn, [worker], Purpose.STOP)
    elif worker.state in (State.WAITING, State.BACKING_OFF, State.FINISHED, State.FAILED):
        turn.cancel_timer(TimerKind.BACK_OFF, worker)
        worker.start_failure = None
        turn.move(worker, Move.STOP_REQUESTED)
    if worker.state is State.STOPPED:
        exiting.answer_stops(turn, worker)


def start_requested(turn: Turn, event: StartWorkerRequested) -> None:
    """Up, from whatever state."""
    _bring_up(turn, event)


def restart_requested(turn: Turn, event: RestartWorkerRequested) -> None:
    """Down and up again; just up when it is down."""
    _bring_up(turn, event)


def _bring_up(turn: Turn, event: StartWorkerRequested | RestartWorkerRequested) -> None:
    worker = turn.node.workers.get(event.id)
    problem = _not_now(turn, worker, event.id)
    if problem is not None or worker is None:
        turn.reply(event.request, problem)
        return
    creating.wait_until_ok(
        turn, worker, event.request, event.timeout_s, "the start" if isinstance(event, StartWorkerRequested) else "the restart"
    )
    again = isinstance(event, RestartWorkerRequested) and worker.state in (State.STARTING, State.RUNNING)
    if again:
        worker.requested_at, worker.crashed_at = turn.now, None
        worker.history = type(worker.history)()
        begin(turn, [worker], Purpose.RESTART)
    else:
        ask_up(turn, worker)


def ask_up(turn: Turn, worker: Worker) -> None:
    """Somebody wants it up: from whatever state, with a clean history."""
    if worker.state is State.UNUSABLE:
        creating.judge(turn, worker)
    elif worker.desired is Desired.STOPPED or worker.recording is Desired.STOPPED:
        record(turn, worker, Desired.RUNNING)
    else:
        _start(turn, worker)


def _start(turn: Turn, worker: Worker) -> None:
    process = worker.process
    if worker.state in (State.STOPPED, State.FINISHED, State.FAILED, State.BACKING_OFF):
        turn.cancel_timer(TimerKind.BACK_OFF, worker)
        worker.history = type(worker.history)()
        worker.start_failure = None
        worker.requested_at = turn.now
        turn.move(worker, Move.START_REQUESTED)
    elif process is not None and process.purpose in (Purpose.STOP, Purpose.RETRY):
        process.purpose = Purpose.RESTART
        for request in sorted(worker.stops):
            turn.settle(request, WorkerBusy(worker.id, "to be started again, on a later request"))
        worker.stops.clear()
        turn.dirty(worker)


def _not_now(turn: Turn, worker: Worker | None, id: str) -> ForemanError | None:
    if worker is None:
        return WorkerNotFound(id)
    if turn.node.ending:
        return WorkerBusy(id, "ending with its node")
    if worker.removals or worker.state is State.REMOVING:
        return WorkerBusy(id, "being removed")
    return None


def judged(turn: Turn, event: DirectoryJudged) -> None:
    """An unusable directory was looked at again, because somebody asked to start it."""
    worker = turn.node.workers.get(event.id)
    if worker is None or worker.state is not State.UNUSABLE:
        return
    worker.judging = False
    if isinstance(event.verdict, str):
        worker.start_failure = event.verdict
        turn.dirty(worker)
        creating.failed(turn, worker, starting.start_error(turn, worker, event.verdict))
        return
    manifest = event.verdict
    creating.become(turn, worker, manifest)
    turn.move(worker, Move.FOUND)
