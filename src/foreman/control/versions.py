"""The arithmetic of a recovery: which versions it keeps, from which logs, and how far back it replays. Pure.

A transaction is acknowledged when *every* log of the layout has it (LogSet). So:

- One locked log is enough to shut out every writer of the old epoch: none can hear from all logs again. ``read_quorum`` says so in
  general: of n logs of which w acknowledge, n - w + 1 meet every acknowledged transaction.
- Each log that holds what it was told holds all that is acknowledged; the longest holds most. The recovery keeps what the longest has:
  all acknowledged transactions and perhaps some that nobody was promised, in the order in which they were pushed.
- A storage worker may have made durable what none of the logs found has (it followed one that is away now). It cannot go back, so it is
  *ahead*, and is not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from foreman.core.mutations import Version


def majority(count: int) -> int:
    """More than half."""
    return count // 2 + 1


def read_quorum(logs: int, acknowledging: int) -> int:
    """How many of ``logs`` must be found, so that at least one has every transaction that ``acknowledging`` of them acknowledged."""
    if not 0 < acknowledging <= logs:
        raise ValueError(f"{acknowledging} of {logs} logs cannot acknowledge")
    return logs - acknowledging + 1


@dataclass(frozen=True, slots=True)
class VersionVector:
    """What a log has: everything after ``oldest``, through ``last``."""

    oldest: Version
    last: Version

    def covers(self, first: Version, last: Version) -> bool:
        """Whether everything after ``first``, through ``last``, can be copied from here."""
        return self.oldest <= first and last <= self.last


@dataclass(frozen=True, slots=True)
class TooFewLogs:
    found: int
    needed: int


def plan_vector(logs: Sequence[VersionVector], expected: int) -> VersionVector | TooFewLogs:
    """What can be recovered from the logs found of a layout that had ``expected``: to the end of the longest, from its beginning."""
    needed = read_quorum(expected, acknowledging=expected)
    if len(logs) < needed:
        return TooFewLogs(len(logs), needed)
    last = max(log.last for log in logs)
    return VersionVector(min(log.oldest for log in logs if log.last == last), last)


def quorum_durable(durables: Sequence[Version], replicas: int) -> Version:
    """What a quorum of a team has: its quorum-th highest durable version; of fewer than a quorum, the lowest."""
    return sorted(durables, reverse=True)[min(majority(replicas), len(durables)) - 1]


def replay_first(teams: Sequence[Sequence[Version]], replicas: int, vector: VersionVector) -> Version:
    """The version after which the new logs begin: what a quorum of every team has, or a little less for the sake of stragglers.

    ``teams``: the durable versions of those that can be kept, none above ``vector.last``; teams of which nobody was found are left out.
    A straggler may at most double what is replayed; one that is further back is cheaper to fill from another than to wait for.
    """
    found = [team for team in teams if team]
    if not found:
        return vector.oldest
    first = max(vector.oldest, min(quorum_durable(team, replicas) for team in found))
    floor = max(vector.oldest, first - (vector.last - first))
    return min((durable for team in found for durable in team if durable >= floor), default=first)
