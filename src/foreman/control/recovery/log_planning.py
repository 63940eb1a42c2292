"""Plan which of the old logs are copied, and through which version.

Every acknowledged transaction is on every log of the layout, so one that was locked is enough (versions.py says why). The longest is
copied: its version vector is what the recovery can give.

Stalls: no old log was locked; every one that is missing is named with the reason. Follows: durable version.
"""

from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery
from foreman.control.versions import TooFewLogs, VersionVector, plan_vector


async def plan_old_logs(recovery: Recovery) -> Outcome:
    """The phase."""
    assert recovery.old is not None
    vectors = [VersionVector(state.oldest, state.last) for state in recovery.old_logs.values()]
    match plan_vector(vectors, len(recovery.old.logs)):
        case TooFewLogs(found, needed):
            missing = tuple(f"log {log.id}: {recovery.not_found.get(log, 'it is not locked')}" for log in recovery.old.logs)
            why = f"{found} of {len(recovery.old.logs)} logs of layout {recovery.old.epoch} can be read, {needed} needed"
            return Stalled(why, missing, recovery.tools.settings.again_s)
        case VersionVector() as vector:
            recovery.vector, recovery.last = vector, vector.last
            return Next("durable version")
