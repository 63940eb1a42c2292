"""Which losses a cluster may be asked to survive: the bounds within which every acknowledged transaction must be found again.

Crashes, pauses, cuts, lost and late messages lose no data, however many at once and however long: all of them must be survived, and are
only waited out. A *disk* is another matter. Data is lost, and nobody can help it, when

- of the logs of one attempt all have lost their disks: whatever its layout acknowledged, and no storage worker made durable, was there
  alone. So of each attempt's logs one may be emptied, if every wish of the run asks for two at least;
- a storage worker is emptied while no other member of its team can take part in the next recovery. That recovery would begin the logs
  after what the found ones have, and the old logs go. So one is emptied only when all is calm and the others of its teams hold the data,
  and until the next layout stands (without it, or with it filled) nothing else happens to machines, workers or the network; leaders and the
  directory may fail meanwhile.
"""

from collections.abc import Mapping, Sequence

from foreman.control.attempt import origin_of
from foreman.directory.records import ClusterSpec, Layout, Placement
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode
from foreman.testing.cluster_simulator.simulated_workers import SimulatedLog, SimulatedStorage


class Redundancy:
    """``wishes``: all that were wished in this run so far."""

    def __init__(self, nodes: Mapping[str, SimulatedNode], wishes: Sequence[ClusterSpec]) -> None:
        self._nodes, self._wishes = nodes, wishes
        self._lost: set[tuple[int, str]] = set()
        self._emptied: Placement | None = None
        self._emptied_in = 0

    def is_tender(self, layout: Layout | None) -> bool:
        """Whether a storage worker was emptied, and the cluster has not made up for it yet."""
        if self._emptied is not None and layout is not None and layout.epoch > self._emptied_in:
            members = {member for team in layout.teams for member in team.members}
            worker = self._nodes[self._emptied.node].workers.get(self._emptied.id)
            if self._emptied not in members or (isinstance(worker, SimulatedStorage) and worker.layout_epoch >= layout.epoch):
                self._emptied = None
        return self._emptied is not None

    def may_lose(self, node: str, id: str, layout: Layout, *, calm: bool) -> bool:
        """Whether this worker's disk may be lost now; if so, it is counted as lost."""
        origin, worker = origin_of(id), self._nodes[node].workers[id]
        if origin is None:
            return False
        attempt = (origin.epoch, origin.recovery_id)
        if isinstance(worker, SimulatedLog):
            allowed = attempt not in self._lost and all(wish.logs >= 2 for wish in self._wishes)
            self._lost |= {attempt} if allowed else set()
            return allowed
        if not calm or self.is_tender(layout) or not self._others_hold(Placement(id, node), layout):
            return False
        self._emptied, self._emptied_in = Placement(id, node), layout.epoch
        return True

    def _others_hold(self, worker: Placement, layout: Layout) -> bool:
        teams = [team for team in layout.teams if worker in team.members]
        return all(any(member != worker and self._holds(member, layout) for member in team.members) for team in teams)

    def _holds(self, member: Placement, layout: Layout) -> bool:
        storage = self._nodes[member.node].running(member.id)
        if not isinstance(storage, SimulatedStorage) or storage.lock.generation != layout.epoch:
            return False
        return storage.whole and storage.durable >= layout.durable_version
