"""The end of a process: what it means depends on what was wanted.

Asked to end: the purpose of the stop decides. Unasked: the restart policy decides. Gone with the supervisor: it starts again with
the next one, and nothing counts against it.
"""

from foreman.core.effects import MoveToTrash
from foreman.core.events import TimerKind, WorkerExited
from foreman.core.lifecycle import Move, State
from foreman.core.machine import starting
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Purpose, Worker
from foreman.core.restarting import Ending, Finish, GiveUp, StartAgain, after_ending
from foreman.core.views import LastExit


def exited(turn: Turn, worker: Worker, event: WorkerExited) -> None:
    """The proof of exit has come."""
    process = worker.process
    assert process is not None
    what = _said_in_shell(event)
    if process.errno:
        what += f" after it reported errno {process.errno}"
    if process.ready_at is None and worker.state is State.STARTING:
        what += " before it was ready"
    ran_s = None if process.ready_at is None else turn.now - process.ready_at
    worker.last_exit = LastExit(_said_in_shell(event), worker.note, turn.at.wall)
    gone(turn, worker, Ending(event.code == 0, ran_s, what))


def _said_in_shell(event: WorkerExited) -> str:
    if event.signal is not None:
        return event.signal
    return "ended, nobody saw how" if event.code is None else f"exit {event.code}"


def gone(turn: Turn, worker: Worker, ending: Ending, *, refused: bool = False) -> None:
    """No process of the current incarnation exists any more."""
    process = worker.process
    assert process is not None
    stopped, purpose = worker.state is State.STOPPING, process.purpose
    if worker.state is State.RUNNING:
        worker.crashed_at = turn.now
    starting.ended(turn, worker)
    turn.node.release_slot(worker)
    if stopped:
        turn.cancel_timer(TimerKind.STOP_GRACE, worker)
        turn.tell(worker, "Its process is gone.", ending.what)
    worker.process = None
    if stopped and purpose is not Purpose.RETRY:
        assert purpose is not None
        _as_wanted(turn, worker, purpose)
    else:
        _unwanted(turn, worker, ending, refused=refused)


def _as_wanted(turn: Turn, worker: Worker, purpose: Purpose) -> None:
    match purpose:
        case Purpose.STOP:
            turn.move(worker, Move.STOPPED)
            answer_stops(turn, worker)
        case Purpose.SHUTDOWN:
            turn.move(worker, Move.SHUT_DOWN)
            answer_stops(turn, worker)
        case Purpose.RESTART:
            worker.requested_at = turn.now
            turn.move(worker, Move.STOPPED_TO_RESTART)
        case Purpose.REMOVE:
            turn.move(worker, Move.STOPPED_TO_REMOVE)
            turn.do(MoveToTrash(worker.id))
        case Purpose.RETRY:
            raise AssertionError("a retry is decided by the restart policy")


def answer_stops(turn: Turn, worker: Worker) -> None:
    """It is stopped: tell all who asked for that."""
    for request in sorted(worker.stops):
        turn.settle(request, None)
    worker.stops.clear()


def _unwanted(turn: Turn, worker: Worker, ending: Ending, *, refused: bool) -> None:
    node = turn.node
    if worker.state is State.STARTING or (worker.state is State.STOPPING and ending.ran_s is None):
        starting.failed(turn, worker, worker.start_failure if worker.state is State.STOPPING and worker.start_failure else ending.what)
    kind = node.kinds[worker.kind].restart
    late = worker.state is State.STOPPING
    verdict = after_ending(kind, node.settings.restart, worker.history, ending, turn.now, turn.chance())
    if late and isinstance(verdict, Finish):
        verdict = GiveUp(verdict.reason)
    match verdict:
        case StartAgain(delay_s, history, reason):
            worker.history = history
            turn.move(worker, Move.START_REFUSED if refused else Move.CRASHED, reason)
            _wait(turn, worker, delay_s)
        case Finish(reason):
            turn.move(worker, Move.FINISHED, reason)
        case GiveUp(reason):
            worker.start_failure = reason
            turn.move(worker, Move.GAVE_UP, reason)


def _wait(turn: Turn, worker: Worker, delay_s: float) -> None:
    if turn.node.ending:
        turn.move(worker, Move.SHUT_DOWN)
    elif delay_s <= 0:
        turn.move(worker, Move.BACKED_OFF, worker.note)
    else:
        turn.set_timer(TimerKind.BACK_OFF, worker, turn.now + delay_s)


def back_off_over(turn: Turn, worker: Worker) -> None:
    """It may start again."""
    if worker.state is State.BACKING_OFF:
        turn.move(worker, Move.BACKED_OFF, worker.note)


def lost(turn: Turn, worker: Worker, reason: str) -> None:
    """Its process went with the supervisor."""
    process = worker.process
    assert process is not None
    turn.tell(worker, "Its process is gone.", reason)
    if worker.state is State.STOPPING:
        if process.purpose is Purpose.RETRY:
            process.purpose = Purpose.RESTART
        gone(turn, worker, Ending(normal=False, ran_s=None, what=reason))
        return
    if worker.state is State.RUNNING:
        worker.crashed_at = turn.now
    starting.ended(turn, worker)
    worker.process = None
    turn.move(worker, Move.SUPERVISOR_LOST, reason)
    if turn.node.ending:
        turn.move(worker, Move.SHUT_DOWN)
