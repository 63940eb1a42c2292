"""The life of a worker as one table: state, what happened, next state, and the sentence an operator reads.

This table is the only place that says which moves exist. The machine moves a worker only through :func:`next_state`; a move
that is not here is a bug in the machine and raises InvalidMove with the worker's story. docs/reference/lifecycle.md is drawn from it.
"""

import enum
from dataclasses import dataclass
from typing import Final


class State(enum.StrEnum):
    PREPARING = "preparing"
    """Its directory is being made durable."""
    WAITING = "waiting"
    """The directory is there; it waits for its turn: the kinds it starts after, a free start slot, or the supervisor."""
    STARTING = "starting"
    """Its process was asked for and has not yet said that it is ready."""
    RUNNING = "running"
    """It said that it is ready."""
    BACKING_OFF = "backing_off"
    """Its process ended; the next start is set for a later moment."""
    STOPPING = "stopping"
    """It was asked to end, and still lives."""
    STOPPED = "stopped"
    """It was stopped on request and stays so until started."""
    FINISHED = "finished"
    """It ended normally; its restart type wants no other start."""
    FAILED = "failed"
    """Given up."""
    UNUSABLE = "unusable"
    """Its directory is foreign or broken: shown, never touched."""
    REMOVING = "removing"
    """No process lives; its directory is being moved into trash and deleted."""


class Move(enum.StrEnum):
    """What can happen to a worker's state."""

    REQUESTED = "requested"
    FOUND = "found"
    FOUND_STOPPED = "found_stopped"
    FOUND_UNUSABLE = "found_unusable"
    ADOPTED = "adopted"
    ADOPTED_READY = "adopted_ready"
    PREPARED = "prepared"
    NOT_PREPARED = "not_prepared"
    TURN_CAME = "turn_came"
    READY = "ready"
    START_REFUSED = "start_refused"
    CRASHED = "crashed"
    FINISHED = "finished"
    GAVE_UP = "gave_up"
    BACKED_OFF = "backed_off"
    START_REQUESTED = "start_requested"
    STOP_REQUESTED = "stop_requested"
    LATE = "late"
    HUNG = "hung"
    STOPPED = "stopped"
    SUPERVISOR_LOST = "supervisor_lost"
    STOPPED_TO_RESTART = "stopped_to_restart"
    STOPPED_TO_REMOVE = "stopped_to_remove"
    REMOVAL_REQUESTED = "removal_requested"
    REMOVED = "removed"
    NOT_REMOVED = "not_removed"
    SHUT_DOWN = "shut_down"


@dataclass(frozen=True, slots=True)
class Row:
    """``source`` None: the worker does not exist yet. ``target`` None: it exists no more."""

    source: State | None
    move: Move
    target: State | None
    sentence: str


def _row(source: State | None, move: Move, target: State | None, sentence: str) -> Row:
    return Row(source, move, target, sentence)


S, M = State, Move
TABLE: Final[tuple[Row, ...]] = (
    # Coming into being
    _row(None, M.REQUESTED, S.PREPARING, "Somebody asked for a new worker; its directory is made first."),
    _row(None, M.FOUND, S.WAITING, "Its directory was found at the start of the node; it waits for its turn."),
    _row(None, M.FOUND_STOPPED, S.STOPPED, "Its directory was found, and says that it was stopped on request."),
    _row(None, M.FOUND_UNUSABLE, S.UNUSABLE, "Its directory is foreign or broken; it is shown and never touched."),
    _row(S.PREPARING, M.PREPARED, S.WAITING, "Its directory is durable; it waits for its turn."),
    _row(S.PREPARING, M.NOT_PREPARED, None, "Its directory could not be made; nothing of it is left."),
    _row(S.UNUSABLE, M.FOUND, S.WAITING, "Its directory was looked at again and is in order now."),
    # Adoption: the server is new, the process is not
    _row(S.WAITING, M.ADOPTED, S.STARTING, "Its process was already there and proved to be ours; it is not ready yet."),
    _row(S.WAITING, M.ADOPTED_READY, S.RUNNING, "Its process was already there, ready, and proved to be ours; nothing is restarted."),
    _row(S.STOPPED, M.ADOPTED, S.STARTING, "It was to be stopped, but its process still lives; it is stopped now."),
    # Starting
    _row(S.WAITING, M.TURN_CAME, S.STARTING, "Its turn has come; the supervisor is asked to start it."),
    _row(S.STARTING, M.READY, S.RUNNING, "It says that it is ready; it is handed to registration."),
    _row(S.STARTING, M.START_REFUSED, S.BACKING_OFF, "The supervisor could not start it; the next try is set."),
    _row(S.STARTING, M.CRASHED, S.BACKING_OFF, "It ended before it was ready; the next start is set."),
    _row(S.STARTING, M.FINISHED, S.FINISHED, "It ended normally before it was ready, and is not started again."),
    _row(S.STARTING, M.GAVE_UP, S.FAILED, "It failed too often; it is given up and the cluster is told."),
    _row(S.STARTING, M.SUPERVISOR_LOST, S.WAITING, "The supervisor died and took it along; it starts again with the next one."),
    # Running
    _row(S.RUNNING, M.CRASHED, S.BACKING_OFF, "It ended unasked; the next start is set."),
    _row(S.RUNNING, M.FINISHED, S.FINISHED, "It ended normally and is not started again."),
    _row(S.RUNNING, M.GAVE_UP, S.FAILED, "It crashed too often; it is given up and the cluster is told."),
    _row(S.RUNNING, M.SUPERVISOR_LOST, S.WAITING, "The supervisor died and took it along; it starts again with the next one."),
    # Between two starts
    _row(S.BACKING_OFF, M.BACKED_OFF, S.WAITING, "Its back-off is over; it waits for its turn."),
    _row(S.BACKING_OFF, M.START_REQUESTED, S.WAITING, "Somebody asked to start it now."),
    _row(S.BACKING_OFF, M.STOP_REQUESTED, S.STOPPED, "Stopped on request while it waited for its next start."),
    _row(S.WAITING, M.STOP_REQUESTED, S.STOPPED, "Stopped on request before its turn came."),
    # Stopping
    _row(S.STARTING, M.STOP_REQUESTED, S.STOPPING, "It is asked to end while starting."),
    _row(S.RUNNING, M.STOP_REQUESTED, S.STOPPING, "It is taken out of the directory and asked to end."),
    _row(S.STARTING, M.LATE, S.STOPPING, "It was not ready in time; it is ended."),
    _row(S.STARTING, M.HUNG, S.STOPPING, "It fell silent while starting; it is killed."),
    _row(S.RUNNING, M.HUNG, S.STOPPING, "It fell silent; it is taken out of the directory and killed."),
    _row(S.STOPPING, M.STOPPED, S.STOPPED, "It ended as asked, and stays stopped."),
    _row(S.STOPPING, M.STOPPED_TO_RESTART, S.WAITING, "It ended as asked; it starts again when its turn comes."),
    _row(S.STOPPING, M.STOPPED_TO_REMOVE, S.REMOVING, "Its exit is proven; its directory goes."),
    _row(S.STOPPING, M.CRASHED, S.BACKING_OFF, "It was late or hung and is gone now; the next start is set."),
    _row(S.STOPPING, M.GAVE_UP, S.FAILED, "It was late or hung too often; it is given up and the cluster is told."),
    # Started by hand
    _row(S.STOPPED, M.START_REQUESTED, S.WAITING, "Somebody asked to start it."),
    _row(S.FINISHED, M.START_REQUESTED, S.WAITING, "Somebody asked to start it."),
    _row(S.FAILED, M.START_REQUESTED, S.WAITING, "Somebody asked to start it; its history is clean again."),
    _row(S.FINISHED, M.STOP_REQUESTED, S.STOPPED, "Stopped on request; it had ended already."),
    _row(S.FAILED, M.STOP_REQUESTED, S.STOPPED, "Stopped on request; it had been given up already."),
    # Removal
    _row(S.WAITING, M.REMOVAL_REQUESTED, S.REMOVING, "No process of it lives; its directory goes."),
    _row(S.BACKING_OFF, M.REMOVAL_REQUESTED, S.REMOVING, "No process of it lives; its directory goes."),
    _row(S.STOPPED, M.REMOVAL_REQUESTED, S.REMOVING, "No process of it lives; its directory goes."),
    _row(S.FINISHED, M.REMOVAL_REQUESTED, S.REMOVING, "No process of it lives; its directory goes."),
    _row(S.FAILED, M.REMOVAL_REQUESTED, S.REMOVING, "No process of it lives; its directory goes."),
    _row(S.REMOVING, M.REMOVED, None, "Its directory is out of the way; it is forgotten."),
    _row(S.REMOVING, M.NOT_REMOVED, S.STOPPED, "Its directory could not be moved; it stays, stopped, and nothing is forgotten."),
    # The node ends
    _row(S.PREPARING, M.SHUT_DOWN, S.STOPPED, "The node ends before its first start."),
    _row(S.WAITING, M.SHUT_DOWN, S.STOPPED, "The node ends before its turn came."),
    _row(S.BACKING_OFF, M.SHUT_DOWN, S.STOPPED, "The node ends before its next start."),
    _row(S.STOPPING, M.SHUT_DOWN, S.STOPPED, "It ended with its node; the next start of the node starts it again."),
)
_NEXT: Final = {(row.source, row.move): row for row in TABLE}


def row(source: State | None, move: Move) -> Row | None:
    """The row for this move from this state, or None when there is no such move."""
    return _NEXT.get((source, move))


HAS_PROCESS: Final = frozenset({S.STARTING, S.RUNNING, S.STOPPING})
"""The states in which a process of the worker may live. In every other state there is a proof that none does."""

COMING_UP: Final = frozenset({S.PREPARING, S.WAITING, S.STARTING})
"""The states of a worker that others, which start after its kind, wait for."""
