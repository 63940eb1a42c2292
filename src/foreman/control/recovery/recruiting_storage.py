"""Decide who is in which storage team and holds which keys, and recruit what is missing: keep what holds data, fill only the gaps.

A worker holds data when it was locked and has what the new logs do not (from ``first``) and nothing that they lack (through ``last``);
which keys, it says itself. One that is away is waited for until ``replace_after``; what comes instead is recruited, and joins when it is
filled (teams.py). One that is still being filled goes on with that.

Stalls: keys would have no member that holds them. Follows: replaying.
"""

from foreman.control.holders import Holder, held_by
from foreman.control.recovery.locking import find_endpoints
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery
from foreman.control.recovery.recruiting import ROUNDS, make_workers
from foreman.control.teams import NoMember, StoragePlan, plan_teams, without_recruits
from foreman.directory.records import Joiner, Layout, Placement
from foreman.workers.storage.key_range import KeyRange


async def recruit_storage(recovery: Recovery) -> Outcome:
    """The phase."""
    failures: dict[Placement, str] = {}
    plan = StoragePlan(())
    for _ in range(ROUNDS):
        planned = _plan(recovery)
        if isinstance(planned, NoMember):
            return _nobody(recovery, planned, failures)
        plan = planned
        failures = await make_workers(recovery, "storage", plan.recruits)
        if not failures:
            break
    if any(failures.keys() >= set(team.members) for team in plan.teams):
        return Stalled("storage workers could not be made", tuple(failures.values()), recovery.tools.settings.again_s)
    recovery.storage = without_recruits(plan, frozenset(failures))
    await find_endpoints(recovery, plan.recruits)
    return Next("replaying")


def _plan(recovery: Recovery) -> StoragePlan | NoMember:
    holders = [] if recovery.old is None else holders_of(recovery, recovery.old)

    def recruit(slot: int, node: str) -> Placement:
        return Placement(recovery.attempt.worker("storage", slot, node), node)

    return plan_teams(recovery.spec, holders, recovery.places("storage"), recruit, replay_fills=recovery.first == 0)


def holders_of(recovery: Recovery, old: Layout) -> list[Holder]:
    """Of the workers that the old layout names: those that hold data, those that are away and waited for, those that are being filled."""
    holders = (_holder(recovery, worker, keys, recovery.joiners.get(worker)) for worker, keys in held_by(old).items())
    return [holder for holder in holders if holder is not None]


def _holder(recovery: Recovery, worker: Placement, keys: KeyRange, joiner: Joiner | None) -> Holder | None:
    """``keys``: what it holds by the old layout, which is what counts when it is away or has no data yet. ``joiner`` None: a member."""
    domain, leaving = recovery.domain(worker.node), worker.node in recovery.view.draining
    state, serving = recovery.old_storage.get(worker), joiner is None
    if state is not None and recovery.first <= state.durable <= recovery.last:
        return Holder(worker, domain, state.keys if state.durable else keys, state.durable, serving, leaving)
    if worker in recovery.lost or (state is not None and (serving or state.durable)):
        return None
    good = 0 if state is not None else recovery.last if joiner is None else joiner.through
    given_up = state is None and _is_given_up(recovery, worker)
    if given_up and not good:
        return None
    return Holder(worker, domain, keys, good, serving, leaving, away=True, given_up=given_up)


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
