"""A recovery asks each node of the layout once, and nobody else: what it hears serves the locks, the vouching and the clean-up."""

import asyncio

from foreman.control.settings import ControlSettings
from foreman.directory.records import ClusterSpec
from foreman.testing.cluster_simulator import virtual_time
from foreman.testing.cluster_simulator.world import Simulation

NODES = 60
TEAMS = 12
LEASE_S = 10.0
OF_A_LOG = 5
"""It is made, and asked where it listens; the one before it is looked for and removed, and perhaps still seen for a moment."""


def test_when_a_log_is_lost_each_node_of_the_layout_is_asked_once() -> None:
    wish = ClusterSpec(3, 3, tuple(b"%06d" % number for number in range(1, TEAMS)), 60.0)
    simulation = Simulation(1, NODES, wish, coordinators=3, settings=ControlSettings(lease_s=LEASE_S))

    async def run() -> tuple[int, int]:
        simulation.begin()
        await simulation.until(lambda: simulation.is_watched)
        await asyncio.sleep(60.0)
        layout = simulation.layout
        assert layout is not None
        before, log = _asked(simulation), layout.logs[0]
        simulation.nodes[log.node].kill_worker(log.id)
        await simulation.until(lambda: simulation.is_watched and simulation.promises.epoch > layout.epoch)
        await asyncio.sleep(20.0)
        named = {worker.node for team in layout.teams for worker in team.members} | {log.node for log in layout.logs}
        return _asked(simulation) - before, len(named)

    asked, named = virtual_time.run(run())
    assert named > NODES // 2
    assert asked <= named + OF_A_LOG * wish.logs


def _asked(simulation: Simulation) -> int:
    return sum(reach.asked for reach in simulation.reaches)
