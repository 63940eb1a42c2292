"""PULL: what a reader gets, or why it waits. Pure.

start_after < oldest    VERSIONTOOOLD: recycled, or before the log began
start_after > last      VERSIONTOONEW, after waiting for it when the reader said BLOCK
locked                  only recovery pulls, and those only when locked
"""

from dataclasses import dataclass
from enum import Enum, auto

from foreman.core.data_errors import NotLocked, NotReady, VersionTooNew, VersionTooOld
from foreman.core.mutations import Version


@dataclass(frozen=True, slots=True)
class Pull:
    """``through``: nothing after it is wanted. ``block_ms``: how long to wait for news, None: not at all."""

    start_after: Version
    limit: int
    through: Version | None = None
    recovery: bool = False
    block_ms: int | None = None


class Answer(Enum):
    SOME = auto()
    NONE = auto()
    """Nothing now, and waiting could not help."""
    WAIT = auto()


def check_mode(pull: Pull, *, locked: bool, recovering: bool) -> None:
    """Raises NotReady or NotLocked."""
    if recovering or (locked and not pull.recovery):
        raise NotReady
    if pull.recovery and not locked:
        raise NotLocked


def judge_pull(pull: Pull, oldest: Version, last: Version, *, time_left: bool) -> Answer:
    """``last``: the last durable version. ``time_left``: whether the reader wants to wait still. Raises VersionTooOld, VersionTooNew."""
    if pull.start_after < oldest:
        raise VersionTooOld(oldest)
    if pull.recovery and pull.through is not None and pull.through > last:
        raise VersionTooNew(last)  # a locked log gets no more: the copier asks for what is not here
    if pull.start_after > last:
        if time_left:
            return Answer.WAIT
        raise VersionTooNew(last)
    if pull.through is not None and pull.start_after >= pull.through:
        return Answer.NONE
    if pull.start_after < last:
        return Answer.SOME
    if pull.through is not None and last >= pull.through:
        return Answer.NONE
    return Answer.WAIT if time_left else Answer.NONE
