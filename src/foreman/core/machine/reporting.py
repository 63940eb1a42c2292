"""What workers say of themselves, and what their silence says."""

from foreman.core.errors import WorkerNotFound
from foreman.core.events import ReportHealth, TimerKind, WorkerSaid, WorkerSilent
from foreman.core.lifecycle import Move, State
from foreman.core.machine import starting, stopping
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Purpose, Worker


def said(turn: Turn, worker: Worker, event: WorkerSaid) -> None:
    """Take over what it says; only its health and its time matter to decisions."""
    process = worker.process
    assert process is not None
    process.status_text = event.status_text if event.status_text is not None else process.status_text
    process.endpoint = event.endpoint if event.endpoint is not None else process.endpoint
    process.errno = event.errno if event.errno is not None else process.errno
    if event.health is not None and event.health != process.reported:
        process.reported = event.health
        turn.tell(worker, "It reports its health.", str(event.health))
    if event.stopping and worker.state is State.RUNNING:
        turn.tell(worker, "It says that it is stopping, unasked.")
    if event.extend_s is not None:
        _extend(turn, worker, event.extend_s)
    turn.dirty(worker)


def _extend(turn: Turn, worker: Worker, seconds: float) -> None:
    """EXTEND_TIMEOUT_USEC (sd_notify(3)): at least so long from now, never shorter than it was. Only while starting or stopping."""
    process = worker.process
    assert process is not None
    later = turn.now + min(seconds, turn.node.settings.max_extend_s)
    if later <= process.deadline:
        return
    if worker.state is State.STARTING:
        process.deadline = later
        turn.set_timer(TimerKind.START_DEADLINE, worker, later)
    elif worker.state is State.STOPPING and process.signalled and process.purpose is not Purpose.RETRY:
        process.deadline = later
        turn.set_timer(TimerKind.STOP_GRACE, worker, later)


def silent(turn: Turn, worker: Worker, _event: WorkerSilent) -> None:
    """It promised a sign of life and gave none: taken for hung, killed at once, restarted by its policy."""
    process = worker.process
    assert process is not None
    if worker.state not in (State.STARTING, State.RUNNING):
        return
    reason = "no WATCHDOG=1 in time"
    process.silent, process.purpose = True, Purpose.RETRY
    if worker.state is State.STARTING:
        starting.failed(turn, worker, reason)
    else:
        worker.crashed_at = turn.now
    starting.ended(turn, worker)
    turn.move(worker, Move.HUNG, reason)
    stopping.kill(turn, worker)


def report(turn: Turn, event: ReportHealth) -> None:
    """Health told through the API. ok from a starting worker is its word that it is ready; news of no process changes nothing."""
    worker = turn.node.workers.get(event.id)
    if worker is None:
        turn.reply(event.request, WorkerNotFound(event.id))
        return
    if worker.process is not None and worker.process.pid is not None:
        if worker.process.reported != event.health:
            turn.tell(worker, "Its health was reported.", str(event.health))
        worker.process.reported = event.health
        turn.dirty(worker)
        if worker.state is State.STARTING and event.health.is_ok:
            starting.became_ready(turn, worker)
    turn.reply(event.request, None)
