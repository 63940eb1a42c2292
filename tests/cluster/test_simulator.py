"""Whole clusters by seed, with everything that fails at once: what is promised holds after each step, and in the end the cluster heals.

More seeds: ``make simulate SEEDS=20000 ARGS=--cluster``; one that fails is replayed by ``--seed N``.
"""

import os
import subprocess
import sys

import pytest

from foreman.directory.records import ClusterSpec
from foreman.testing.cluster_simulator import between_steps, simulate
from foreman.testing.cluster_simulator.faults import TRAPS
from foreman.testing.cluster_simulator.world import Simulation

BATCH = 40
STEPS = 60
"""More messages than a recovery of this cluster takes."""


@pytest.mark.parametrize("batch", range(50))
def test_what_is_promised_holds_and_the_cluster_heals(batch: int) -> None:
    """2,000 seeds."""
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        told = simulate(seed)
        assert told.acknowledged > 0
        assert told.layouts <= told.epochs


def test_a_seed_is_one_story() -> None:
    for seed in range(8):
        assert simulate(seed) == simulate(seed)


def test_a_seed_is_the_same_story_in_another_process() -> None:
    """There the sets of strings have another order."""
    program = "from foreman.testing.cluster_simulator import simulate; print(*(simulate(seed) for seed in range(8)))"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": order}, capture_output=True, check=True, timeout=60
        ).stdout
        for order in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("count", [3, 7])
def test_clusters_of_other_sizes(count: int) -> None:
    for seed in range(5):
        assert simulate(seed, count).acknowledged > 0


@pytest.mark.parametrize("what", TRAPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_leader_may_fail_between_any_two_steps_of_a_recovery(what: str, *, after: bool) -> None:
    """Crashes before and after each message that it sends; the others around every third."""
    for steps in range(1, STEPS, 1 if what == "crash" else 3):
        simulate(steps, script=between_steps(what, steps, after=after), wish=ClusterSpec(2, 2, (), 6.0))


async def _all_logs_are_lost(simulation: Simulation) -> None:
    """Beyond what any cluster survives: all that the newest transactions were on."""
    await simulation.until(lambda: simulation.is_watched and simulation.promises.newest > 10)
    layout = simulation.layout
    assert layout is not None
    for log in layout.logs:
        node = simulation.nodes[log.node]
        simulation.faults.lose_disk(node, log.id)
        node.start_worker(log.id)
    await simulation.until(lambda: (status := simulation.view().status) is not None and status.state == "stalled")
    status = simulation.view().status
    assert status is not None
    assert "logs of layout" in status.why
    assert all("it has lost its data" in missing for missing in status.missing)
    assert simulation.layout == layout, "data loss is said, not papered over"
    raise _AsItShouldBe


class _AsItShouldBe(Exception):
    pass


def test_data_that_is_lost_is_said_to_be() -> None:
    for seed in range(8):
        with pytest.raises(_AsItShouldBe):
            simulate(seed, script=_all_logs_are_lost)
