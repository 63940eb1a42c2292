"""Unlock the members of the storage teams for the new logs. Those that join stay locked until they are brought in (joining.py).

Each drops from memory what is above the version from which the new logs begin and pulls from there, so that nothing the recovery did not
keep remains. It says from now on that it belongs to this epoch's layout. It keeps of its keys what the plan says: others go only when as
many as are wished for were found to hold them (teams.py), so it does no harm when this layout is never published.

Stalls: a member does not answer (the run begins anew, without it). Superseded: a newer recovery holds one. Follows: publishing.
"""

import asyncio

from foreman.control.ports import Following
from foreman.control.recovery.outcome import Next, Outcome, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery
from foreman.core.data_errors import NewerLockExists
from foreman.core.errors import ForemanError
from foreman.directory.records import Placement
from foreman.kernel.together import together
from foreman.workers.storage.key_range import KeyRange


async def unlock_storage(recovery: Recovery) -> Outcome:
    """The phase."""
    plan = recovery.storage
    order = sorted({*plan.keys, *plan.recruits})
    try:
        failures = await together(_unlock(recovery, worker, plan.keys.get(worker)) for worker in order)
    except NewerLockExists as newer:
        return Superseded(newer.generation, "a storage worker is held by a newer recovery")
    told = tuple(failure for failure in failures if failure is not None)
    if told:
        return Stalled("storage workers could not be unlocked", told, recovery.tools.settings.again_s)
    return Next("publishing")


async def _unlock(recovery: Recovery, worker: Placement, keys: KeyRange | None) -> str | None:
    """``keys``: what it is to hold from now on; None: it joins, and is only locked."""
    tools, endpoint = recovery.tools, recovery.endpoints.get(worker)
    if endpoint is None:
        return None if keys is None else f"{worker.id}: {recovery.not_found.get(worker, 'nobody knows where it listens')}"
    logs = {log.id: recovery.endpoints[log] for log in recovery.logs}
    try:
        async with asyncio.timeout(tools.settings.command_timeout_s):
            tools.fence.check()
            state = await tools.data.lock_storage(endpoint, recovery.attempt)
            if keys is not None and state.durable < recovery.first and worker not in recovery.storage.recruits:
                return f"{worker.id}: it has lost its data since it was locked"
            if keys is not None:
                tools.fence.check()
                reset = state.durable == 0 or worker in recovery.storage.recruits  # what is not whole, or of an earlier try, goes
                following = Following(logs, recovery.last, key_range=keys, reset=reset)
                await tools.data.unlock_storage(endpoint, recovery.attempt, recovery.first, following)
    except NewerLockExists:
        raise
    except (ForemanError, TimeoutError) as error:
        return None if keys is None else f"{worker.id}: {str(error) or 'it does not answer'}"
    return None
