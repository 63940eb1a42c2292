"""Replay the old logs into the new: every new log gets what is after ``first``, through ``last``, and is unlocked for this epoch.

Each copies for itself from an old log that was locked and has all of it; from another one when that fails. When there is nothing to copy
the logs begin empty after ``last``.

Stalls: a log could not be filled from any source. Superseded: a newer recovery holds one. Follows: unlocking.
"""

import asyncio

from foreman.control.recovery.outcome import Next, Outcome, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery
from foreman.control.versions import VersionVector
from foreman.core.data_errors import Locked, NewerLockExists
from foreman.core.errors import ForemanError
from foreman.directory.records import Placement
from foreman.kernel.together import together


async def replay(recovery: Recovery) -> Outcome:
    """The phase."""
    sources = sources_of(recovery)
    try:
        failures = await together(_fill(recovery, log, sources, turn) for turn, log in enumerate(recovery.logs))
    except NewerLockExists as newer:
        return Superseded(newer.generation, "a new log is held by a newer recovery, or was filled by an earlier try of this one")
    except Locked:
        return Superseded(recovery.attempt.epoch, "a new log was locked by a newer recovery while it was filled")
    told = tuple(failure for failure in failures if failure is not None)
    if told:
        return Stalled("the old logs could not be replayed", told, recovery.tools.settings.again_s)
    recovery.tools.tell(f"the logs hold versions {recovery.first} to {recovery.last}", "replayed")
    return Next("unlocking")


def sources_of(recovery: Recovery) -> list[Placement | None]:
    """The old logs that have all that is to be copied, by name; (None,) when there is nothing."""
    if recovery.first == recovery.last:
        return [None]
    vectors = {log: VersionVector(state.oldest, state.last) for log, state in recovery.old_logs.items()}
    whole = [log for log, vector in vectors.items() if vector.covers(recovery.first, recovery.last)]
    return [*sorted(whole)]


async def _fill(recovery: Recovery, log: Placement, sources: list[Placement | None], turn: int) -> str | None:
    """Why it could not be filled; None when it is. Begins with another source for each log, its own node's if there is one."""
    tools, endpoint = recovery.tools, recovery.endpoints[log]
    order = sources[turn % len(sources) :] + sources[: turn % len(sources)] if sources else []
    order.sort(key=lambda source: source is not None and source.node != log.node)
    failure = f"{log.id}: no source has versions {recovery.first} to {recovery.last}"
    for source in order:
        first = recovery.last if source is None else recovery.first
        try:
            async with asyncio.timeout(tools.settings.replay_timeout_s):
                tools.fence.check()
                await tools.data.lock_log(endpoint, recovery.attempt)
                tools.fence.check()
                from_ = None if source is None else recovery.endpoints[source]
                await tools.data.recover_log(endpoint, recovery.attempt, from_, first, recovery.last)
        except (NewerLockExists, Locked):
            raise
        except (ForemanError, TimeoutError) as error:
            failure = f"{log.id} from {source.id if source else 'nothing'}: {str(error) or 'it took too long'}"
        else:
            return None
    return failure
