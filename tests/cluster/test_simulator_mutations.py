"""The cluster simulator is itself tested: a control plane or a worker that is wrong on purpose must be caught within a few dozen seeds."""

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest

from foreman.control import coordinator, director, keeping_clean
from foreman.control.attempt import origin_of
from foreman.control.fence import Fence
from foreman.control.leading import Term
from foreman.control.recovery import cleaning_up, locking, log_planning, publishing, replaying
from foreman.control.recovery.outcome import Next, Outcome
from foreman.control.recovery.recovery import Recovery
from foreman.control.versions import TooFewLogs, VersionVector
from foreman.control.vouching import Vouching
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Directory, Put
from foreman.directory.records import EpochRecord, Layout, Placement, encode
from foreman.testing.cluster_simulator import BrokenPromise, between_steps, simulate
from foreman.testing.cluster_simulator.simulated_workers import Obedience, SimulatedLog
from foreman.testing.cluster_simulator.world import Simulation

ENOUGH = 240
"""Seeds until the rarest of these is met, several times over."""

Wrong = Callable[[pytest.MonkeyPatch], None]


def shortest_log(patch: pytest.MonkeyPatch) -> None:
    """A recovery keeps what the shortest log has, less one."""

    def shortest(logs: Sequence[VersionVector], expected: int) -> VersionVector | TooFewLogs:
        return VersionVector(min(log.oldest for log in logs), max(0, min(log.last for log in logs) - 1)) if logs else TooFewLogs(0, 1)

    patch.setattr(log_planning, "plan_vector", shortest)


def short_source(patch: pytest.MonkeyPatch) -> None:
    """New logs are filled from any old log, whether it has all of it or not."""
    patch.setattr(replaying, "sources_of", lambda recovery: [*recovery.old_logs] or [None])
    patch.setattr(SimulatedLog, "check_source", lambda *_: None)
    patch.setattr(
        log_planning, "plan_vector", lambda logs, _: VersionVector(0, max(log.last for log in logs)) if logs else TooFewLogs(0, 1)
    )


def no_lock(patch: pytest.MonkeyPatch) -> None:
    """Old logs are asked what they have, and not locked."""

    async def only_ask(recovery: Recovery, _old: Layout, worker: Placement, endpoint: str) -> None:
        recovery.old_logs[worker] = await recovery.tools.data.log_state(endpoint)

    patch.setattr(locking, "_lock_log", only_ask)
    patch.setattr(SimulatedLog, "check_source", lambda *_: None)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A leader commands on, whatever the time is."""
    patch.setattr(Fence, "check", lambda _: None)


def same_epoch(patch: pytest.MonkeyPatch) -> None:
    """A new leader goes on with the epoch that was."""

    async def take(directory: Directory, keys: ClusterKeys, term: Term, above: int, node: str) -> int | None:
        epoch = max(1, above)
        committed = await directory.transact([], [Put(keys.epoch, encode(EpochRecord(epoch, node)))])
        term.epoch_revision, term.fence.epoch, term.directory = committed.revision, epoch, "0" * 16
        return epoch

    patch.setattr(coordinator, "take_epoch", take)


def no_compare(patch: pytest.MonkeyPatch) -> None:
    """The layout is written, whoever leads by now."""

    async def publish(recovery: Recovery, layout: Layout) -> Outcome:
        await recovery.tools.directory.transact([], [Put(recovery.tools.keys.layout, encode(layout))])
        recovery.layout = layout
        return Next("watching")

    patch.setattr(publishing, "_publish", publish)


def cleans_too_much(patch: pytest.MonkeyPatch) -> None:
    """Whatever is older than this epoch goes."""
    patch.setattr(cleaning_up, "is_spent", lambda worker, epoch, _: (origin := origin_of(worker)) is not None and origin.epoch < epoch)


def cleans_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cleaning_up, "is_spent", lambda *_: False)
    patch.setattr(keeping_clean, "is_spent", lambda *_: False)


def never_watches(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(director, "lost_log", lambda _view, _layout: None)
    patch.setattr(director, "improvement", lambda _watched: None)


def never_vouches(patch: pytest.MonkeyPatch) -> None:
    """A worker that lost its disk is taken for what it was."""

    async def trusting(_self: Vouching, _worker: Placement, _endpoint: str) -> bool:
        return True

    patch.setattr(Vouching, "_vouch", trusting)


def obeys_anybody(patch: pytest.MonkeyPatch) -> None:
    """Workers obey older directors too."""

    def lock(self: Obedience, attempt: Any) -> None:
        self.generation, self.recovery_id, self.held = attempt.epoch, attempt.recovery_id, True

    patch.setattr(Obedience, "lock", lock)


def takes_late_pushes(patch: pytest.MonkeyPatch) -> None:
    """A locked log takes pushes still."""
    push = SimulatedLog.push

    def late(self: SimulatedLog, epoch: int, version: int, previous: int, what: str) -> None:
        held, self.lock.held = self.lock.held, False
        try:
            push(self, epoch, version, previous, what)
        finally:
            self.lock.held = held

    patch.setattr(SimulatedLog, "push", late)


@pytest.mark.parametrize(
    ("wrong", "caught"),
    [
        (shortest_log, "acknowledged was"),
        (short_source, "lacks"),
        (no_lock, "acknowledged"),
        (same_epoch, "was taken after"),
        (cleans_too_much, "the newest layout names it"),
        (cleans_nothing, "what runs is not what the layout names"),
        (never_watches, "of peace"),
        (obeys_anybody, "obeyed epoch|went back"),
        (takes_late_pushes, "acknowledged"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_wrong_on_purpose_is_caught(wrong: Wrong, caught: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may break something else first: in another seed."""
    wrong(monkeypatch)
    assert any(re.search(caught, _broken_by(seed)) for seed in range(ENOUGH))


@pytest.mark.parametrize(
    ("wrong", "what", "caught"),
    [(no_fence, "stop", "its lease ended at"), (no_compare, "be heard late", "was published")],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_wrong_between_two_steps_is_caught(wrong: Wrong, what: str, caught: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong(monkeypatch)
    with pytest.raises(BrokenPromise) as broken:
        for seed, steps, after in product(range(3), range(1, 100), (False, True)):  # in one cluster after the other, at every step
            simulate(seed, script=between_steps(what, steps, after=after))
    assert re.search(caught, _why(broken.value))


async def _a_member_is_emptied(simulation: Simulation) -> None:
    """It is back before anybody sees it go."""
    await simulation.until(lambda: simulation.is_watched and simulation.promises.newest > 10)
    layout = simulation.layout
    assert layout is not None
    member = layout.teams[0].members[0]
    node = simulation.nodes[member.node]
    simulation.faults.lose_disk(node, member.id)
    node.start_worker(member.id)


def test_trust_in_a_worker_that_lost_its_disk_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(1, script=_a_member_is_emptied)
    never_vouches(monkeypatch)
    with pytest.raises(BrokenPromise, match="of peace"):
        simulate(1, script=_a_member_is_emptied)


def _broken_by(seed: int) -> str:
    """What is wrong in the end; "": nothing."""
    try:
        simulate(seed)
    except BrokenPromise as broken:
        return _why(broken)
    return ""


def _why(broken: BrokenPromise) -> str:
    return str(broken).splitlines()[-1]
