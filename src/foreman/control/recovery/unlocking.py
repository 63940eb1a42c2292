"""Unlock the members of the storage teams for the new logs. Those that join stay locked until they are brought in (joining.py).

Each drops from memory what is above the version from which the new logs begin and pulls from there, so that nothing the recovery did not
keep remains. It says from now on that it belongs to this epoch's layout.

Stalls: a member does not answer (the run begins anew, without it). Superseded: a newer recovery holds one. Follows: publishing.
"""

import asyncio

from foreman.control.ports import Following
from foreman.control.recovery.outcome import Next, Outcome, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery
from foreman.control.together import together
from foreman.core.data_errors import NewerLockExists
from foreman.core.errors import ForemanError
from foreman.directory.records import Placement


async def unlock_storage(recovery: Recovery) -> Outcome:
    """The phase."""
    members = {worker for plan in recovery.teams for worker in plan.team.members}
    recruits = {worker for plan in recovery.teams for worker in plan.recruits}
    order = sorted(members | recruits, key=lambda worker: (worker.id, worker.node))
    try:
        failures = await together(_unlock(recovery, worker, is_member=worker in members) for worker in order)
    except NewerLockExists as newer:
        return Superseded(newer.generation, "a storage worker is held by a newer recovery")
    told = tuple(failure for failure in failures if failure is not None)
    if told:
        return Stalled("storage workers could not be unlocked", told, recovery.tools.settings.again_s)
    return Next("publishing")


async def _unlock(recovery: Recovery, worker: Placement, *, is_member: bool) -> str | None:
    tools, endpoint = recovery.tools, recovery.endpoints.get(worker)
    if endpoint is None:
        return f"{worker.id}: {recovery.not_found.get(worker, 'nobody knows where it listens')}" if is_member else None
    logs = {log.id: recovery.endpoints[log] for log in recovery.logs}
    try:
        async with asyncio.timeout(tools.settings.command_timeout_s):
            tools.fence.check()
            state = await tools.data.lock_storage(endpoint, recovery.attempt)
            if is_member:
                tools.fence.check()
                following = Following(logs, recovery.last, reset=state.durable == 0)  # the rest of a copy that was never whole goes
                await tools.data.unlock_storage(endpoint, recovery.attempt, recovery.first, following)
    except NewerLockExists:
        raise
    except (ForemanError, TimeoutError) as error:
        return f"{worker.id}: {str(error) or 'it does not answer'}" if is_member else None
    return None
