"""PUSH: where a transaction goes. Pure: one decision, from what the log has taken so far.

previous version = the log's last     append
greater                              it came early: park it until the gap has closed
lower                                a retry, if the log has the very same transaction; else out of order
"""

from enum import Enum, auto

from foreman.core.data_errors import InvalidCommand, Locked, NewerEpochExists
from foreman.core.mutations import Version
from foreman.workers.log.standing import Standing


class Verdict(Enum):
    APPEND = auto()
    PARK = auto()
    COMPARE = auto()
    """With the transaction that the log has at this version."""


def check_writer(standing: Standing, epoch: int) -> None:
    """Raises Locked or NewerEpochExists."""
    if standing.locked:
        raise Locked
    if epoch < standing.epoch:
        raise NewerEpochExists(standing.epoch)


def judge_push(last: Version, version: Version, previous: Version) -> Verdict:
    """``last``: of all that the log has taken, durable or not. Raises InvalidCommand."""
    if version <= previous:
        raise InvalidCommand(f"version {version} must be greater than previous version {previous}")
    if previous == last:
        return Verdict.APPEND
    return Verdict.PARK if previous > last else Verdict.COMPARE
