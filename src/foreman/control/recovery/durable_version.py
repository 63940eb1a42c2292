"""Find the version from which the new logs must begin: what a quorum of those who hold a key has durably, for every key.

The quorum-th highest durable version of those who hold the same keys, of all keys the lowest; a little lower for stragglers (versions.py).
Who holds which keys the workers say themselves: a recovery that was never published may have narrowed some. A worker that is ahead of
what the logs found has data that nobody else can give it back from, and is not counted. When nobody is left for some keys the logs must
give them back from the beginning.

Stalls: nobody who can be kept holds some keys, and the logs do not go back to the beginning. Follows: recruiting logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from foreman.control.holders import by_piece, held_by
from foreman.control.named import storage_of
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery
from foreman.control.versions import VersionVector, replay_first
from foreman.core.mutations import Version
from foreman.directory.records import Layout, Placement
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange, show_key


async def find_durable_version(recovery: Recovery) -> Outcome:
    """The phase."""
    old = recovery.old
    assert old is not None
    match first_version(_found(recovery, old), recovery.spec.storage_replicas, recovery.vector):
        case Unheld(begin):
            which = f"the keys from {show_key(begin)[:80]} on" if begin else "the first keys"
            why = f"no storage worker that answers holds {which}, and the logs do not go back to what was written there"
            return Stalled(why, _missing(recovery, old), recovery.tools.settings.again_s)
        case int() as first:
            recovery.first = first
            return Next("recruiting logs")


@dataclass(frozen=True, slots=True)
class Unheld:
    """Nobody who was found can be kept for the keys from ``begin`` on."""

    begin: bytes


def first_version(found: Sequence[tuple[KeyRange, Version]], replicas: int, vector: VersionVector) -> Version | Unheld:
    """The version after which the logs begin; for every key somebody of ``found`` (what it holds, through which version) is that far."""
    teams = by_piece(ALL_KEYS, found)
    first = replay_first([durables for _, durables in teams], replicas, vector)
    unheld = next((keys for keys, durables in teams if max(durables, default=-1) < first), None)
    if unheld is None:
        return first
    return Unheld(unheld.begin) if vector.oldest else 0


def _found(recovery: Recovery, old: Layout) -> list[tuple[KeyRange, Version]]:
    """Of those who answer and can be kept: what they hold, through which version. Who has nothing counts if it is a member, and only
    when the logs have all there ever was.
    """
    joiners, states = recovery.joiners, recovery.old_storage
    found: list[tuple[KeyRange, Version]] = []
    for worker, keys in held_by(old).items():
        state = states.get(worker)
        if state is not None and 0 < state.durable <= recovery.last:
            found.append((state.keys, state.durable))
        elif state is not None and not state.durable and not recovery.vector.oldest and worker not in joiners:
            found.append((keys, 0))
    return found


def _missing(recovery: Recovery, old: Layout) -> tuple[str, ...]:
    workers = sorted(storage_of(old))
    return tuple(f"storage {worker.id}: {_why(recovery, worker)}" for worker in workers)


def _why(recovery: Recovery, worker: Placement) -> str:
    state = recovery.old_storage.get(worker)
    if state is None:
        return recovery.not_found.get(worker, "it is not locked")
    end = show_key(state.keys.end) if state.keys.end is not None else "the last"
    holds = f"it holds version {state.durable} of the keys from {show_key(state.keys.begin) or 'the first'} to {end}"
    if state.durable > recovery.last:
        return f"{holds}, and the logs that answer end at {recovery.last}"
    return f"{holds}, and the logs that answer begin after {recovery.vector.oldest}"
