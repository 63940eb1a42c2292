"""Whole clusters by seed, with crashes, partitions, lost messages and two leaders at once: what is promised holds, and it heals.

The simulator is itself tested: a recovery that is wrong on purpose must be caught.
"""

from collections.abc import Sequence

import pytest

from foreman.control import director
from foreman.control.recovery import log_planning
from foreman.control.versions import TooFewLogs, VersionVector
from foreman.testing.cluster_simulator.world import BrokenPromise, simulate

BATCH = 25


@pytest.mark.parametrize("batch", range(8))
def test_what_is_promised_holds_and_the_cluster_heals(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        told = simulate(seed)
        assert told.acknowledged > 0
        assert told.layouts <= told.epochs


def test_a_seed_is_one_story() -> None:
    for seed in range(8):
        assert simulate(seed) == simulate(seed)


@pytest.mark.parametrize("count", [3, 7])
def test_clusters_of_other_sizes(count: int) -> None:
    for seed in range(5):
        assert simulate(seed, count).acknowledged > 0


def test_a_recovery_that_keeps_the_shortest_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def shortest(logs: Sequence[VersionVector], expected: int) -> VersionVector | TooFewLogs:
        return VersionVector(min(log.oldest for log in logs), max(0, min(log.last for log in logs) - 1)) if logs else TooFewLogs(0, 1)

    monkeypatch.setattr(log_planning, "plan_vector", shortest)
    with pytest.raises(BrokenPromise):
        for seed in range(20):
            simulate(seed)


def test_a_director_that_never_watches_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(director, "lost_log", lambda _view, _layout: None)
    monkeypatch.setattr(director, "improvement", lambda _watched: None)
    with pytest.raises(BrokenPromise, match="of peace"):
        for seed in range(20):
            simulate(seed)
