"""Find the version from which the new logs must begin: what a quorum of every storage team has durably.

The quorum-th highest durable version of each team, of all teams the lowest; a little lower for stragglers (versions.py). A worker that
is ahead of what the logs found has data that nobody else can give it back from, and is not counted.

Stalls: no storage worker can be kept and the logs do not go back to the beginning. Follows: recruiting logs.
"""

from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery, storage_of
from foreman.control.versions import replay_first
from foreman.directory.records import Layout, Placement, StorageTeam


async def find_durable_version(recovery: Recovery) -> Outcome:
    """The phase."""
    old = recovery.old
    assert old is not None
    teams = [_durables(recovery, team) for team in old.teams]
    first = replay_first(teams, recovery.spec.storage_replicas, recovery.vector)
    if recovery.vector.oldest > 0 and not any(durable >= first for team in teams for durable in team):
        why = "no storage worker that answers holds what the logs do not go back to"
        return Stalled(why, _missing(recovery, old), recovery.tools.settings.again_s)
    recovery.first = first
    return Next("recruiting logs")


def _durables(recovery: Recovery, team: StorageTeam) -> list[int]:
    workers = [*team.members, *(joiner.worker for joiner in team.joining)]
    states = [recovery.old_storage[worker] for worker in workers if worker in recovery.old_storage]
    return [state.durable for state in states if state.durable <= recovery.last]


def _missing(recovery: Recovery, old: Layout) -> tuple[str, ...]:
    return tuple(f"storage {worker.id}: {_why(recovery, worker)}" for worker in storage_of(old))


def _why(recovery: Recovery, worker: Placement) -> str:
    state = recovery.old_storage.get(worker)
    if state is None:
        return recovery.not_found.get(worker, "it is not locked")
    if state.durable > recovery.last:
        return f"it holds version {state.durable}, and the logs that answer end at {recovery.last}"
    return f"it holds version {state.durable}, and the logs that answer begin after {recovery.vector.oldest}"
