"""RECOVER FROM: how a fresh or locked log gets the transactions of another one. Pure: what is to be done, from what is there.

The log lets go of all it has and begins anew after ``first``; then it copies what follows, through ``last``, and unlocks. That it has
begun is durable before it lets go, so a recovery that was interrupted goes on where it was.
"""

from dataclasses import dataclass, replace
from typing import Final

from foreman.core.data_errors import InvalidCommand, NotLocked
from foreman.core.mutations import Version
from foreman.workers.log.locking import unlocked
from foreman.workers.log.standing import Recovery, Standing

COPY_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """This recovery has filled and unlocked the log before."""


@dataclass(frozen=True, slots=True)
class BeginAnew:
    """Make ``standing`` durable, begin a log after ``recovery.first``, then copy."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class GoOn:
    """Copy what is after ``start_after``."""

    start_after: Version


Plan = AlreadyDone | BeginAnew | GoOn


def plan_recovery(standing: Standing, wanted: Recovery, *, has_source: bool, oldest: Version, last: Version) -> Plan:
    """``oldest`` and ``last`` of this log as it is. Raises NotLocked, InvalidCommand."""
    if wanted.first > wanted.last:
        raise InvalidCommand(f"first {wanted.first} is greater than last {wanted.last}")
    if not has_source and wanted.first not in {0, wanted.last}:
        raise InvalidCommand("without a source there is nothing to copy: first must be 0 or last")
    same = standing.recovery == wanted
    if not standing.locked:
        if same and last >= wanted.last:
            return AlreadyDone()
        raise NotLocked
    if same and oldest == begins_after(wanted, has_source=has_source) and last <= wanted.last:
        return GoOn(last)
    return BeginAnew(replace(standing, recovery=wanted))


def begins_after(wanted: Recovery, *, has_source: bool) -> Version:
    """The base of the recovered log: without a source it is empty at ``last``."""
    return wanted.first if has_source else wanted.last


def finished(standing: Standing) -> Standing:
    """Unlock: the log takes pushes of the epoch that locked it."""
    return unlocked(standing)
