"""Decide who is in which storage team, and recruit what is missing: keep what holds data, fill only the gaps.

A worker holds data when it was locked and has what the new logs do not (from ``first``) and nothing that they lack (through ``last``).
One that is away is waited for until ``replace_after``; what comes instead is recruited, and joins when it is filled (teams.py).

Stalls: a team would have no member that holds its data. Follows: replaying.
"""

from foreman.control.recovery.locking import find_endpoints
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery, joiners_of, storage_of
from foreman.control.recovery.recruiting import ROUNDS, make_workers
from foreman.control.teams import Holder, NoMember, TeamPlan, plan_teams, without_recruits
from foreman.directory.records import Layout, Placement


async def recruit_storage(recovery: Recovery) -> Outcome:
    """The phase."""
    failures: dict[Placement, str] = {}
    plans: list[TeamPlan] = []
    for _ in range(ROUNDS):
        planned = _plan(recovery)
        if isinstance(planned, NoMember):
            return _nobody(recovery, planned, failures)
        plans = planned
        recruits = [worker for plan in plans for worker in plan.recruits]
        failures = await make_workers(recovery, "storage", recruits)
        if not failures:
            break
    if any(failures.keys() >= set(plan.team.members) for plan in plans):
        return Stalled("storage workers could not be made", tuple(failures.values()), recovery.tools.settings.again_s)
    recovery.teams = tuple(without_recruits(plan, frozenset(failures)) for plan in plans)
    await find_endpoints(recovery, [worker for plan in plans for worker in plan.recruits])
    return Next("replaying")


def _plan(recovery: Recovery) -> list[TeamPlan] | NoMember:
    holders = [] if recovery.old is None else holders_of(recovery, recovery.old)

    def recruit(slot: int, node: str) -> Placement:
        return Placement(recovery.attempt.worker("storage", slot, node), node)

    return plan_teams(recovery.spec, holders, recovery.places("storage"), recruit, replay_fills=recovery.first == 0)


def holders_of(recovery: Recovery, old: Layout) -> list[Holder]:
    """Of the workers that the old layout names: those that hold data, and those that are away and waited for."""
    holders: list[Holder] = []
    joiners = joiners_of(old)
    for worker, home in storage_of(old).items():
        state = recovery.old_storage.get(worker)
        leaving = worker.node in recovery.view.draining
        domain = recovery.domain(worker.node)
        if state is not None and recovery.first <= state.durable <= recovery.last:
            holders.append(Holder(worker, domain, home, state.durable, leaving))
        elif state is None and worker not in recovery.lost and not _is_given_up(recovery, worker):
            good = joiners[worker].through if worker in joiners else recovery.last
            holders.append(Holder(worker, domain, home, good, leaving, away=True))
    return holders


def _is_given_up(recovery: Recovery, worker: Placement) -> bool:
    tools = recovery.tools
    return worker.node in recovery.view.draining or tools.absences.is_given_up(worker, recovery.spec.replace_after_s, tools.clock())


def _nobody(recovery: Recovery, planned: NoMember, failures: dict[Placement, str]) -> Stalled:
    where = f"the keys from {planned.begin!r} on" if planned.begin else "the first keys"
    missing = [f"storage {worker.id}: {why}" for worker, why in recovery.not_found.items()]
    if not recovery.places("storage"):
        missing.append("a node with the capability storage")
    again_s = recovery.tools.settings.again_s if recovery.old is not None or failures else None
    return Stalled(f"nobody holds {where}", (*missing, *failures.values()), again_s)
