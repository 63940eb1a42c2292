"""LOCK: what a director does first, so that no deposed one writes on. Pure: the standing before, the standing after.

A newer generation always gets the lock, also from one that holds it. Of two recoveries in one generation the first to come holds: ids
have no order. The same lock again is a retry while it holds. Once its recovery has unlocked the log it is spent: a LOCK that comes late
must not shut a log that a layout names by now.
"""

from dataclasses import replace

from foreman.core.data_errors import NewerLockExists, NotLocked
from foreman.workers.log.standing import Lock, Standing


def locked_by(standing: Standing, generation: int, recovery_id: str) -> Standing:
    """Raises NewerLockExists."""
    held, wanted = standing.lock, Lock(generation, recovery_id, held=True)
    if held is not None and generation <= held.generation and held != wanted:
        raise NewerLockExists(held.generation, held.recovery_id)
    if generation < standing.epoch:
        raise NewerLockExists(standing.epoch, held.recovery_id if held is not None else "-")
    return replace(standing, epoch=generation, lock=wanted)


def check_holder(standing: Standing, generation: int, recovery_id: str) -> None:
    """That the newest lock is this one: a RECOVER that comes late, after a newer LOCK, would empty a log that others count on.

    Raises NewerLockExists, NotLocked.
    """
    newest = standing.lock
    if newest is None:
        raise NotLocked
    if (newest.generation, newest.recovery_id) != (generation, recovery_id):
        raise NewerLockExists(newest.generation, newest.recovery_id)


def unlocked(standing: Standing) -> Standing:
    """After a recovery has filled the log."""
    if standing.lock is None:
        return standing
    return replace(standing, lock=replace(standing.lock, held=False))
